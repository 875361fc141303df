import type { ReferenceRow } from '../database/rows.js';
import { EventError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import type { EventOrder } from '../terms.js';
import type { PlanContext } from './context.js';
import type { CopySource } from './copy-source.js';
import type { Ruling } from './field-rules.js';
import { fingerprintOf, type PreparedField } from './prepare.js';
import { referenceRow } from './references.js';

/** A value that has to get into the store before the new state may be committed. */
export interface PlannedWrite {
  readonly path: string;
  readonly secretId: string;
  readonly source:
    | { readonly kind: 'text'; readonly value: SecretValue }
    /** Renamed, or from another manager. */
    | { readonly kind: 'copy'; readonly from: CopySource };
}

/** A value that has to be read before the new state may be committed: it stays with us from now on. */
export interface PlannedSealing {
  readonly path: string;
  readonly from: CopySource;
  /** The row of its field, given the value. */
  readonly rowOf: (value: SecretValue) => ReferenceRow;
}

/** What happens to one place of an entity. */
export interface RuledPlace {
  /** The field's identity. */
  readonly path: string;
  /** Where it stands in the entity. */
  readonly pointer: string;
  readonly ruling: Ruling;
}

export interface RuledField {
  readonly field: PreparedField;
  readonly ruling: Ruling;
}

export function placesOf(ruled: readonly RuledField[]): RuledPlace[] {
  return ruled.map(({ field: { path, found }, ruling }) => ({ path, pointer: found.pointer, ruling }));
}

/** The reference rows of a connection after an event, and what must be written or read for them. */
export interface NewReferences {
  /** All but those of `sealings`. */
  readonly rows: readonly ReferenceRow[];
  /** Where values go to a store. */
  readonly writes: readonly PlannedWrite[];
  /** Where values stay with us. */
  readonly sealings: readonly PlannedSealing[];
}

/** Rows and writes of an event that sets these fields; `wait` rulings must not be among them. */
export function newReferences(
  ruled: readonly RuledPlace[],
  connectionId: string,
  order: EventOrder,
  context: PlanContext,
): NewReferences {
  const rows: ReferenceRow[] = [];
  const writes: PlannedWrite[] = [];
  const sealings: PlannedSealing[] = [];
  const ring = context.rings.database;
  for (const { path, pointer, ruling } of ruled) {
    const base = { connectionId, path, pointer };
    const referTo = (setOrder: EventOrder, secretId: string, owned: boolean, fingerprint: string | null) =>
      referenceRow(
        { ...base, setOrder, content: { holds: 'reference', secretId, owned, fingerprint } },
        ring,
      );
    const keepHere = (setOrder: EventOrder, value: SecretValue, fingerprint: string) =>
      referenceRow({ ...base, setOrder, content: { holds: 'value', value, fingerprint } }, ring);
    switch (ruling.kind) {
      case 'clear':
      case 'wait':
        break;
      case 'keep':
        rows.push({ ...ruling.row, pointer, setOrder: ruling.order });
        break;
      case 'refer':
        rows.push(referTo(order, ruling.secretId, ruling.owned, null));
        break;
      case 'copy': {
        const { from, secretId, fingerprint } = ruling;
        if (context.manager.keeps === 'store') {
          rows.push(referTo(ruling.order, secretId, true, fingerprint));
          writes.push({ path, secretId, source: { kind: 'copy', from } });
        } else {
          const known = (value: SecretValue): string =>
            fingerprint ?? fingerprintOf(context.fingerprintKey, connectionId, path, value.reveal());
          sealings.push({ path, from, rowOf: (value) => keepHere(ruling.order, value, known(value)) });
        }
        break;
      }
      case 'text': {
        const { value, fingerprint, secretId } = ruling;
        if (context.manager.keeps === 'store') {
          rows.push(referTo(order, secretId, true, fingerprint));
          writes.push({ path, secretId, source: { kind: 'text', value } });
        } else rows.push(keepHere(order, value, fingerprint));
      }
    }
  }
  return { rows, writes, sealings };
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
