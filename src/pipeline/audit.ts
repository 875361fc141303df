import { randomUUID } from 'node:crypto';
import type { AuditRow, ReferenceRow, StoredSecretRow } from '../database/rows.js';
import type { Stored } from '../secrets-managers/port.js';
import type { PlannedWrite } from './new-references.js';
import type { PreparedEvent } from './prepare.js';

type AuditAction = 'create' | 'update' | 'adopt' | 'restore' | 'retire' | 'refuse' | 'delete';

const ACTION_OF_EFFECT: Readonly<Record<Stored['effect'], AuditAction>> = {
  created: 'create',
  changed: 'update',
  adopted: 'adopt',
  restored: 'restore',
};

/** Audit rows of one event: who (the event's actor), what, when. No values. */
export class EventAudit {
  readonly #prepared: PreparedEvent;
  readonly #nowMs: number;

  constructor(prepared: PreparedEvent, nowMs: number) {
    this.#prepared = prepared;
    this.#nowMs = nowMs;
  }

  written(writes: readonly PlannedWrite[], stored: ReadonlyMap<string, Stored>): AuditRow[] {
    return writes.flatMap(({ path, secretId }) => {
      const result = stored.get(secretId);
      return result === undefined ? [] : [this.#row(ACTION_OF_EFFECT[result.effect], path, secretId, null)];
    });
  }

  /** Values that are kept in the database itself. */
  kept(rows: readonly ReferenceRow[], before: readonly ReferenceRow[]): AuditRow[] {
    const previous = new Map(before.map((row) => [row.path, row]));
    return rows
      .filter((row) => row.holds === 'value' && previous.get(row.path)?.sealed !== row.sealed)
      .map((row) => this.#row(previous.has(row.path) ? 'update' : 'create', row.path, null, null));
  }

  retired(rows: readonly StoredSecretRow[], references: readonly ReferenceRow[]): AuditRow[] {
    const pathById = new Map(references.map((row) => [row.secretId, row.path]));
    return rows.map((row) => this.#row('retire', pathById.get(row.secretId) ?? null, row.secretId, null));
  }

  refused(code: string, field: string | null): AuditRow[] {
    return [this.#row('refuse', field, null, code)];
  }

  #row(action: AuditAction, path: string | null, secretId: string | null, detail: string | null): AuditRow {
    const { event } = this.#prepared;
    return {
      id: randomUUID(),
      atMs: this.#nowMs,
      action,
      actor: event.actor,
      connectionId: event.connectionId,
      path,
      secretId,
      eventId: event.eventId,
      detail,
    };
  }
}
