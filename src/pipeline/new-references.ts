import type { ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import type { EventOrder, Reference } from '../terms.js';
import type { PlanContext } from './context.js';
import type { Ruling } from './field-rules.js';
import type { PreparedField } from './prepare.js';
import { referenceRow, storedReference } from './references.js';

/** A value that has to get into the store before the new state may be committed. */
export interface PlannedWrite {
  readonly path: string;
  readonly secretId: string;
  readonly source:
    | { readonly kind: 'text'; readonly value: SecretValue }
    /** Renamed: the recorded version of the old secret. */
    | { readonly kind: 'copy'; readonly reference: Reference; readonly secretId: string };
}

export interface RuledField {
  readonly field: PreparedField;
  readonly ruling: Ruling;
}

/** The reference rows of a connection after an event, and the values that must be written for them. */
export interface NewReferences {
  readonly rows: readonly ReferenceRow[];
  readonly writes: readonly PlannedWrite[];
}

/** Rows and writes of an event that sets these fields; `wait` rulings must not be among them. */
export function newReferences(
  ruled: readonly RuledField[],
  connectionId: string,
  order: EventOrder,
  context: PlanContext,
): NewReferences {
  const rows: ReferenceRow[] = [];
  const writes: PlannedWrite[] = [];
  for (const { field, ruling } of ruled) {
    const { path } = field;
    const { pointer } = field.found;
    const base = { connectionId, path, pointer };
    const draft = (setOrder: EventOrder, secretId: string, owned: boolean, fingerprint: string | null) =>
      referenceRow(
        { ...base, setOrder, content: { holds: 'reference', secretId, owned, fingerprint } },
        context.rings.database,
      );
    switch (ruling.kind) {
      case 'clear':
      case 'wait':
        break;
      case 'keep':
        rows.push({ ...ruling.row, pointer, setOrder: ruling.order });
        break;
      case 'refer':
        rows.push(draft(order, ruling.secretId, ruling.owned, null));
        break;
      case 'copy': {
        const { row, secretId } = ruling;
        const reference = storedReference(row, context.rings.database);
        rows.push(draft(ruling.order, secretId, true, row.fingerprint));
        writes.push({ path, secretId, source: { kind: 'copy', reference, secretId: row.secretId ?? '' } });
        break;
      }
      case 'text': {
        const { value, fingerprint, secretId } = ruling;
        if (context.manager.keeps === 'store') {
          rows.push(draft(order, secretId, true, fingerprint));
          writes.push({ path, secretId, source: { kind: 'text', value } });
        } else {
          const content = { holds: 'value', value, fingerprint } as const;
          rows.push(referenceRow({ ...base, setOrder: order, content }, context.rings.database));
        }
      }
    }
  }
  return { rows, writes };
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
