import type { ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import type { EventOrder, ManagerName, Reference } from '../terms.js';
import type { PlanContext } from './context.js';
import type { Ruling } from './field-rules.js';
import type { PreparedField } from './prepare.js';
import { referenceRow, valueRow } from './references.js';

/** Where a value that goes on lies now. */
export interface CopySource {
  readonly kind: 'copy';
  readonly manager: ManagerName;
  readonly reference: Reference;
  /** The recorded version, whatever is current; null: the token is the value, or no version was ever recorded. */
  readonly version: string | null;
}

/** A value that has to be where it belongs before the new state may be committed. */
export interface PlannedWrite {
  readonly path: string;
  /** Its name under the active manager, also where that keeps values in the database. */
  readonly secretId: string;
  /** `database`: nothing is sent to a store, the row is completed with the value that was read. */
  readonly target: 'store' | 'database';
  readonly source: { readonly kind: 'text'; readonly value: SecretValue } | CopySource;
}

export interface RuledField {
  readonly field: PreparedField;
  readonly ruling: Ruling;
}

/** A field, found in an event or known from its row. */
export interface RuledPath {
  readonly path: string;
  readonly pointer: string;
  readonly ruling: Ruling;
}

/** The reference rows of a connection after an event, and the values that must be written for them. */
export interface NewReferences {
  /** Those of `database` writes hold nothing yet: {@link withCopies}. */
  readonly rows: readonly ReferenceRow[];
  readonly writes: readonly PlannedWrite[];
}

/** What new rows are made for. */
export interface ReferenceOwner {
  readonly connectionId: string;
  /** Of the event that sets the fields; null: there is none, all of them go on. */
  readonly order: EventOrder | null;
}

/** Rows and writes of an event that sets these fields; `wait` rulings must not be among them. */
export function newReferences(
  ruled: readonly RuledPath[],
  owner: ReferenceOwner,
  context: PlanContext,
): NewReferences {
  const made = ruled.map((field) => madeOf(field, owner, context));
  return {
    rows: made.flatMap(({ row }) => (row === null ? [] : [row])),
    writes: made.flatMap(({ write }) => (write === null ? [] : [write])),
  };
}

interface Made {
  readonly row: ReferenceRow | null;
  readonly write: PlannedWrite | null;
}

function madeOf(
  { path, pointer, ruling }: RuledPath,
  { connectionId, order }: ReferenceOwner,
  context: PlanContext,
): Made {
  const target = context.manager.keeps;
  const base = { connectionId, path, pointer };
  const named = (setOrder: EventOrder, secretId: string, owned: boolean, fingerprint: string | null) =>
    referenceRow(
      { ...base, setOrder, content: { holds: 'reference', secretId, owned, fingerprint } },
      context,
    );
  switch (ruling.kind) {
    case 'clear':
    case 'wait':
      return { row: null, write: null };
    case 'keep':
      return { row: { ...ruling.row, pointer, setOrder: ruling.order }, write: null };
    case 'refer':
      return { row: named(requireOrder(order), ruling.secretId, ruling.owned, null), write: null };
    case 'copy': {
      const { secretId, source, fingerprint } = ruling;
      const row =
        target === 'store'
          ? named(ruling.order, secretId, true, fingerprint)
          : valueRow({ ...base, setOrder: ruling.order }, null, fingerprint, context);
      return { row, write: { path, secretId, target, source } };
    }
    case 'text': {
      const { value, fingerprint, secretId } = ruling;
      const setOrder = requireOrder(order);
      if (target === 'store')
        return {
          row: named(setOrder, secretId, true, fingerprint),
          write: { path, secretId, target, source: { kind: 'text', value } },
        };
      return { row: valueRow({ ...base, setOrder }, value, fingerprint, context), write: null };
    }
  }
}

function requireOrder(order: EventOrder | null): EventOrder {
  if (order === null) throw new TypeError('a field is set, and there is no event that sets it');
  return order;
}

/** The rows with the values that were read for those which keep them. */
export function withCopies(
  { rows, writes }: NewReferences,
  copied: ReadonlyMap<string, SecretValue>,
  context: PlanContext,
): readonly ReferenceRow[] {
  const kept = new Set(writes.filter(({ target }) => target === 'database').map(({ path }) => path));
  if (kept.size === 0) return rows;
  return rows.map((row) => {
    if (!kept.has(row.path)) return row;
    const value = copied.get(row.path);
    if (value === undefined) throw new TypeError(`no value was read for ${row.path}`);
    return valueRow(row, value, row.fingerprint, context);
  });
}

/** One secret per name: a second field with the same one would overwrite the first. */
export function refuseSharedIds(rows: readonly ReferenceRow[]): void {
  const pathById = new Map<string, string>();
  for (const { secretId, pointer } of rows) {
    if (secretId === null) continue;
    const other = pathById.get(secretId);
    if (other !== undefined)
      throw new EventError(
        'SECRET_ID_AMBIGUOUS',
        `${other} and ${pointer} have the same secret id ${secretId}`,
        pointer,
      );
    pathById.set(secretId, pointer);
  }
}
