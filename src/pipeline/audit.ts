import { randomUUID } from 'node:crypto';
import type { AuditRow, ReferenceRow, StoredSecretRow } from '../database/rows.js';
import type { Stored } from '../secrets-managers/port.js';
import type { DeadLetterHead } from './ledger.js';
import type { NewReferences, PlannedWrite } from './new-state.js';
import type { Note } from './notes.js';

/**
 * What is done to a connection, to a secret, or to an event. By events: `apply` to `supersede`, and `migrate` by a change of
 * manager without one. By the janitor: `retire`, `delete`, and `forget` (not ours any more, left alone), `repair` (the
 * recorded version put back), `lost` (the store has it no more). By an operator: `rotate` (everything sealed again), and
 * `discard` (a dead letter given up), `change-manager` (from now on another one is active). By the first start after an
 * upgrade: `fill-digests` (the rows of references got theirs). By a worker that looks at its group: `miss` (source records
 * were passed over).
 */
export const AUDIT_ACTIONS = [
  'apply',
  'mask-on-new-endpoint',
  'quoted',
  'create',
  'update',
  'adopt',
  'restore',
  'retire',
  'delete',
  'refuse',
  'supersede',
  'migrate',
  'forget',
  'repair',
  'accept',
  'lost',
  'rotate',
  'discard',
  'change-manager',
  'fill-digests',
  'miss',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export type AuditEntry = Omit<AuditRow, 'id' | 'action' | 'fields'> & {
  readonly action: AuditAction;
  readonly fields?: AuditRow['fields'];
};

export function auditRow(entry: AuditEntry): AuditRow {
  return { id: randomUUID(), fields: null, ...entry };
}

const ACTION_OF_EFFECT: Readonly<Record<Stored['effect'], AuditAction>> = {
  created: 'create',
  changed: 'update',
  adopted: 'adopt',
  restored: 'restore',
};

/** The other connection that had a secret id before. Null: none. */
type FormerOwner = (secretId: string) => string | null;

/** Who changes a connection, and by which event; null: none. */
export type AuditCause = Pick<AuditRow, 'actor' | 'connectionId' | 'eventId'>;

/** Audit rows of one applied event, or one change of manager: who, what, when. No values. */
export class EventAudit {
  readonly #cause: AuditCause;
  readonly #nowMs: number;

  constructor(cause: AuditCause, nowMs: number) {
    this.#cause = cause;
    this.#nowMs = nowMs;
  }

  noted(notes: readonly Note[]): AuditRow[] {
    return notes.map(({ action, detail, fields }) => ({ ...this.#row(action, null, null, detail), fields }));
  }

  written(
    writes: readonly PlannedWrite[],
    stored: ReadonlyMap<string, Stored>,
    formerOwner: FormerOwner,
  ): AuditRow[] {
    return writes.flatMap(({ path, secretId }) => {
      const result = stored.get(secretId);
      if (result === undefined) return [];
      return [this.#row(ACTION_OF_EFFECT[result.effect], path, secretId, takenOver(formerOwner(secretId)))];
    });
  }

  /**
   * Secrets that a reference makes ours without a write: adopted ones, and retired ones that are used again. A secret that
   * only moved from another field of this connection is neither.
   */
  referred(
    { rows, writes }: NewReferences,
    before: readonly ReferenceRow[],
    stored: readonly StoredSecretRow[],
    formerOwner: FormerOwner,
  ): AuditRow[] {
    const hadBefore = new Set(before.map(({ secretId }) => secretId));
    const isWritten = new Set(writes.map(({ secretId }) => secretId));
    const known = new Set(stored.filter(({ state }) => state !== 'deleted').map(({ secretId }) => secretId));
    return rows.flatMap(({ path, secretId }) => {
      if (secretId === null || isWritten.has(secretId) || hadBefore.has(secretId)) return [];
      const action = known.has(secretId) ? 'restore' : 'adopt';
      return [this.#row(action, path, secretId, takenOver(formerOwner(secretId)))];
    });
  }

  /** Values that are stored in the database itself. */
  kept(rows: readonly ReferenceRow[], before: readonly ReferenceRow[]): AuditRow[] {
    const previous = new Map(withValue(before).map((row) => [row.path, row]));
    const now = new Map(withValue(rows).map((row) => [row.path, row]));
    const set = [...now.values()]
      .filter((row) => previous.get(row.path)?.sealed !== row.sealed)
      .map((row) => this.#row(previous.has(row.path) ? 'update' : 'create', row.path, null, null));
    const gone = [...previous.keys()]
      .filter((path) => !now.has(path))
      .map((path) => this.#row('delete', path, null, null));
    return [...set, ...gone];
  }

  /** @param fields the fields that used the secrets, or were going to */
  retired(
    rows: readonly StoredSecretRow[],
    fields: readonly Pick<ReferenceRow, 'secretId' | 'path'>[],
  ): AuditRow[] {
    const pathById = new Map(fields.map((field) => [field.secretId, field.path]));
    return rows.map((row) => this.#row('retire', pathById.get(row.secretId) ?? null, row.secretId, null));
  }

  /** Dead letters that this event supersedes, because it carries the full state. */
  superseded(heads: readonly DeadLetterHead[]): AuditRow[] {
    const { actor, connectionId, eventId: by } = this.#cause;
    return heads.map(({ eventId, code }) =>
      auditRow({
        atMs: this.#nowMs,
        action: 'supersede',
        actor,
        connectionId,
        path: null,
        secretId: null,
        eventId,
        detail: `${code}: by event ${by ?? ''}`,
      }),
    );
  }

  #row(action: AuditAction, path: string | null, secretId: string | null, detail: string | null): AuditRow {
    const { actor, connectionId, eventId } = this.#cause;
    return auditRow({ atMs: this.#nowMs, action, actor, connectionId, path, secretId, eventId, detail });
  }
}

function withValue(rows: readonly ReferenceRow[]): ReferenceRow[] {
  return rows.filter(({ holds }) => holds === 'value');
}

function takenOver(formerOwner: string | null): string | null {
  return formerOwner === null ? null : `taken over from connection ${formerOwner}`;
}
