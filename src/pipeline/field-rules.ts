import { EventError } from '../errors.js';
import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { isAllowedReference } from '../ids/index.js';
import { idViolation, valueViolation } from '../secrets-managers/limits.js';
import type { SecretValue } from '../secret-value.js';
import type { EventOrder } from '../terms.js';
import type { PlanContext } from './context.js';
import type { LockedState } from './ledger.js';
import { fingerprintOf, type PreparedField } from './prepare.js';

/**
 * What happens to one secret field: the one place that decides it (design §2.2).
 *
 * - `keep`: the stored reference stays; `order` is the event's where it named the value, the stored one where it masked it
 * - `copy`: stays in content, moves to `secretId` (the entity was renamed); `order` as with `keep`
 * - `text`: to be kept under `secretId`
 * - `refer`: `secretId` as the event names it
 */
export type Ruling =
  | { readonly kind: 'clear' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'keep'; readonly row: ReferenceRow; readonly order: EventOrder }
  | {
      readonly kind: 'copy';
      readonly row: ReferenceRow;
      readonly order: EventOrder;
      readonly secretId: string;
    }
  | {
      readonly kind: 'text';
      readonly value: SecretValue;
      readonly secretId: string;
      readonly fingerprint: string;
    }
  | { readonly kind: 'refer'; readonly secretId: string; readonly owned: boolean };

/** The rules of one event on one locked state. */
export class FieldRules {
  readonly #context: PlanContext;
  readonly #state: LockedState;
  readonly #order: EventOrder;
  readonly #name: string;
  readonly #rowByPath: ReadonlyMap<string, ReferenceRow>;
  readonly #storedById: ReadonlyMap<string, StoredSecretRow>;

  /** @param name the entity's name after this event: it is part of the secret ids */
  constructor(context: PlanContext, state: LockedState, order: EventOrder, name: string) {
    this.#context = context;
    this.#state = state;
    this.#order = order;
    this.#name = name;
    this.#rowByPath = new Map(state.references.map((row) => [row.path, row]));
    this.#storedById = new Map(
      state.stored.filter((row) => row.manager === context.manager.name).map((row) => [row.secretId, row]),
    );
  }

  /** Throws the EventErrors that refuse the whole event. */
  rule(field: PreparedField, kind: string): Ruling {
    const row = this.#rowByPath.get(field.path);
    switch (field.incoming.kind) {
      case 'cleared':
        return { kind: 'clear' };
      case 'mask':
        return row === undefined ? { kind: 'wait' } : this.#kept(row, field, kind, row.setOrder);
      case 'reference':
        return this.#reference(field, kind, row, field.incoming.secretId);
      case 'refused':
        throw field.incoming.error;
      case 'text':
        return this.#text(field, kind, row, field.incoming.value);
    }
  }

  /** The id this field has by its entity's name. */
  ownId(field: PreparedField, kind: string, name = this.#name): string {
    return this.#context.ids.build(kind, name, field.found.idPath, this.#state.connection.id);
  }

  #text(field: PreparedField, kind: string, row: ReferenceRow | undefined, value: SecretValue): Ruling {
    const secretId = this.ownId(field, kind);
    const fingerprint = fingerprintOf(
      this.#context.fingerprintKey,
      this.#state.connection.id,
      field.path,
      value.reveal(),
    );
    if (row?.fingerprint === fingerprint && this.#isComplete(row, secretId))
      return { kind: 'keep', row, order: this.#order };
    this.#refuseBeyondLimits(field, secretId, value);
    if (this.#context.manager.keeps === 'store') this.#refuseCollision(field, secretId);
    return { kind: 'text', value, secretId, fingerprint };
  }

  /** The store's limits, before any call: naming field, limit and store. */
  #refuseBeyondLimits(field: PreparedField, secretId: string, value: SecretValue | null): void {
    const { limits, provider, keeps } = this.#context.manager;
    const violation =
      (keeps === 'store' ? idViolation(limits, secretId) : null) ??
      (value === null ? null : valueViolation(limits, secretId, value));
    if (violation === null) return;
    const { pointer } = field.found;
    throw new EventError(violation.code, `${pointer}: ${violation.message} (${provider})`, pointer);
  }

  /** Whether the stored value is known to be where it belongs: nothing half-written, nothing in doubt. */
  #isComplete(row: ReferenceRow, secretId: string): boolean {
    if (row.holds === 'value') return this.#context.manager.keeps === 'database';
    const stored = this.#storedById.get(secretId);
    return (
      row.owned && row.secretId === secretId && stored?.state === 'live' && stored.suspectUntilMs === null
    );
  }

  /** A stored reference that goes on; under the new name, where the entity was renamed. */
  #kept(row: ReferenceRow, field: PreparedField, kind: string, order: EventOrder): Ruling {
    const newId = this.ownId(field, kind);
    if (row.owned && row.secretId !== null && row.secretId !== newId && this.#wasNamedAfter(row, field)) {
      this.#refuseBeyondLimits(field, newId, null);
      this.#refuseCollision(field, newId);
      return { kind: 'copy', row, order, secretId: newId };
    }
    return { kind: 'keep', row, order };
  }

  #wasNamedAfter(row: ReferenceRow, field: PreparedField): boolean {
    const { name, kind } = this.#state.connection;
    return name !== null && kind !== null && this.ownId(field, kind, name) === row.secretId;
  }

  #reference(field: PreparedField, kind: string, row: ReferenceRow | undefined, secretId: string): Ruling {
    const own = this.ownId(field, kind);
    const foreign = this.#state.foreign.find(
      (stored) => stored.secretId === secretId && stored.state !== 'deleted',
    );
    if (secretId === own && foreign === undefined) return this.#ownReference(field, kind, row, own);
    const moved = this.#state.references.find((other) => other.owned && other.secretId === secretId);
    if (moved !== undefined)
      return moved === row
        ? this.#kept(moved, field, kind, this.#order)
        : { kind: 'refer', secretId, owned: true };
    const { allowedReferencePrefixes } = this.#context.rules;
    if (isAllowedReference(secretId, allowedReferencePrefixes))
      return { kind: 'refer', secretId, owned: false };
    if (foreign !== undefined || this.#context.ids.isUnderOwnPrefix(secretId))
      throw new EventError(
        'REFERENCE_FOREIGN',
        `${field.found.pointer} refers to a secret of another connection, or to a name under ${this.#context.ids.ownPrefix}`,
        field.found.pointer,
      );
    if (allowedReferencePrefixes.length > 0)
      throw new EventError(
        'REFERENCE_NOT_ALLOWED',
        `${field.found.pointer} refers to a name outside of ALLOWED_REFERENCE_PREFIXES`,
        field.found.pointer,
      );
    return { kind: 'refer', secretId, owned: false };
  }

  /** The id of this very field: ours if we have its row (or may adopt it), else somebody put it there. */
  #ownReference(field: PreparedField, kind: string, row: ReferenceRow | undefined, own: string): Ruling {
    if (row !== undefined && (row.secretId === own || row.holds === 'value'))
      return this.#kept(row, field, kind, this.#order);
    const stored = this.#storedById.get(own);
    const ours = stored !== undefined && stored.state !== 'deleted';
    return { kind: 'refer', secretId: own, owned: ours || this.#context.rules.adopt };
  }

  /** An id that another connection holds, or has retired and not yet lost, is not free. */
  #refuseCollision(field: PreparedField, secretId: string): void {
    const holder = this.#state.foreign.find(
      (stored) =>
        stored.secretId === secretId &&
        stored.manager === this.#context.manager.name &&
        stored.state !== 'deleted',
    );
    if (holder !== undefined)
      throw new EventError(
        'SECRET_ID_COLLISION',
        `${field.found.pointer} of connection ${this.#state.connection.id} would take the secret id ${secretId} of connection ${holder.connectionId}`,
        field.found.pointer,
      );
  }
}
