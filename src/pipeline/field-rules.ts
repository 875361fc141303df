import { collidedName, referredBy } from './collision.js';
import { EventError } from '../errors.js';
import { idPathOf } from '../catalog/place.js';
import type { ReferenceRow, StoredSecretRow } from '../database/rows.js';
import { idViolation, valueViolation } from '../secrets-managers/limits.js';
import type { SecretValue } from '../secret-value.js';
import type { EntityRoot, EventOrder } from '../terms.js';
import { adoptionProblem } from './state-change.js';
import type { PlanContext } from './context.js';
import type { LockedState } from './ledger.js';
import type { CopySource } from './new-state.js';
import { fingerprintOf, requireUnaltered, storedReference } from './references.js';
import type { PreparedField } from './prepare.js';
import { isAmong, refusalOf, refusalOfStored, throwRefusal } from './reference-refusals.js';

/**
 * What happens to one secret field. {@link FieldRules} alone decides it (docs/secrets.md).
 *
 * - `keep`: the stored reference stays. `order` is the event's if the event gave the value, the stored one if it masked it
 * - `copy`: the value stays, but is copied to `secretId`, because the entity was renamed or the active manager does not have
 *   it; `order` as with `keep`
 * - `text`: the event's value is written under `secretId`
 * - `refer`: the event's reference to `secretId` is stored
 */
export type Ruling =
  | { readonly kind: 'clear' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'keep'; readonly row: ReferenceRow; readonly order: EventOrder }
  | {
      readonly kind: 'copy';
      readonly source: CopySource;
      readonly order: EventOrder;
      readonly secretId: string;
      readonly fingerprint: string | null;
    }
  | {
      readonly kind: 'text';
      readonly value: SecretValue;
      readonly secretId: string;
      readonly fingerprint: string;
    }
  | { readonly kind: 'refer'; readonly secretId: string; readonly owned: boolean };

/** Decides for each field of one event, on one locked state. */
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
      case 'foreignMask':
      case 'refused':
        throw field.incoming.error;
      case 'text':
        return this.#text(field, kind, row, field.incoming.value);
    }
  }

  #ownId({ found }: PreparedField, kind: string, name = this.#name): string {
    return this.#context.ids.build(kind, name, found.idPath, this.#state.connection.id);
  }

  #text(field: PreparedField, kind: string, row: ReferenceRow | undefined, value: SecretValue): Ruling {
    const secretId = this.#ownId(field, kind);
    const fingerprint = fingerprintOf(
      this.#context.fingerprintKey,
      this.#state.connection.id,
      field.path,
      value.reveal(),
    );
    if (row?.fingerprint === fingerprint && this.#isComplete(row, secretId) && this.#isIntact(row))
      return { kind: 'keep', row, order: this.#order };
    this.#refuseUnfit(field.found.pointer, secretId, value);
    return { kind: 'text', value, secretId, fingerprint };
  }

  /** A row that somebody has altered, or that no key opens, is written again: the event has the value. */
  #isIntact(row: ReferenceRow): boolean {
    try {
      storedReference(row, this.#context);
      return true;
    } catch (error) {
      if (error instanceof EventError) return false;
      throw error;
    }
  }

  /** Before any request: refuses an id or a value beyond the store's limits, and an id that another connection has. */
  #refuseUnfit(pointer: string, secretId: string, value: SecretValue | null): void {
    const { limits, provider, keeps } = this.#context.manager;
    const violation =
      (keeps === 'store' ? idViolation(limits, secretId) : null) ??
      (value === null ? null : valueViolation(limits, secretId, value));
    if (violation !== null)
      throw new EventError(violation.code, `${pointer}: ${violation.message} (${provider})`, pointer);
    if (keeps !== 'store') return;
    this.#refuseCollision(pointer, secretId);
    this.#refuseReferred(pointer, secretId);
  }

  /** Refuses to create a name that another connection already refers to: that connection would get this value. */
  #refuseReferred(pointer: string, secretId: string): void {
    if (this.#storedById.get(secretId)?.state === 'live') return;
    const referrer = this.#state.referrers.find((one) => one.secretId === secretId);
    if (referrer !== undefined)
      throw new EventError(
        'SECRET_ID_REFERRED',
        `${pointer} of connection ${this.#state.connection.id} would create ${secretId}, ${referredBy(referrer.connectionId)}`,
        pointer,
      );
  }

  /** Whether the value is certainly stored in the right place: not half-written, not in doubt. */
  #isComplete(row: ReferenceRow, secretId: string): boolean {
    if (row.holds === 'value') return this.#context.manager.keeps === 'database';
    const stored = this.#storedById.get(secretId);
    return (
      isAtHome(row, this.#state, this.#context) &&
      row.owned &&
      row.secretId === secretId &&
      stored?.state === 'live' &&
      stored.suspectUntilMs === null
    );
  }

  /** Keeps a stored reference; copies its value if the entity was renamed or the active manager does not have it. */
  #kept(row: ReferenceRow, field: PreparedField, kind: string, order: EventOrder): Ruling {
    const isHome = isAtHome(row, this.#state, this.#context);
    this.#refuseStored(row, field.found.pointer);
    if (isHome && (!row.owned || row.secretId === null)) return { kind: 'keep', row, order };
    const newId = this.#ownId(field, kind);
    const isRenamed = row.secretId !== newId && this.#wasNamedAfter(row, field);
    if (isHome && !isRenamed) return { kind: 'keep', row, order };
    return this.#copy(row, newId, field.found.pointer, order, row.fingerprint);
  }

  /**
   * Decides about a field that no event sets: it stays, and moves to the active manager if need be. Its new id is made from
   * the row and the connection, because the present catalogue may no longer find the field.
   */
  carry(row: ReferenceRow): Ruling {
    this.#refuseStored(row, row.pointer);
    if (isAtHome(row, this.#state, this.#context)) return { kind: 'keep', row, order: row.setOrder };
    const { connection } = this.#state;
    const newId = ownIdOf(row.path, connection, this.#context);
    return this.#copy(row, newId, row.pointer, row.setOrder, row.fingerprint);
  }

  #copy(
    row: ReferenceRow,
    secretId: string,
    pointer: string,
    order: EventOrder,
    fingerprint: string | null,
  ): Ruling {
    this.#refuseUnfit(pointer, secretId, null);
    return { kind: 'copy', source: this.#sourceOf(row), order, secretId, fingerprint };
  }

  /** The value's place in its connection's manager, with the version that the database has recorded. */
  #sourceOf(row: ReferenceRow): CopySource {
    const manager = this.#state.connection.manager ?? this.#context.manager.name;
    const recorded = this.#state.stored.find(
      (stored) => stored.manager === manager && stored.secretId === row.secretId,
    );
    const reference = storedReference(row, this.#context);
    return { kind: 'copy', manager, reference, version: recorded?.version ?? null };
  }

  #wasNamedAfter(row: ReferenceRow, field: PreparedField): boolean {
    const { name, kind } = this.#state.connection;
    return name !== null && kind !== null && this.#ownId(field, kind, name) === row.secretId;
  }

  #reference(field: PreparedField, kind: string, row: ReferenceRow | undefined, secretId: string): Ruling {
    const owned = this.#owned(field, kind, row, secretId);
    if (owned !== null) return owned;
    const { ids, rules } = this.#context;
    const refusal = refusalOf(secretId, this.#state.foreign, ids, rules.allowedReferencePrefixes);
    throwRefusal(refusal, field.found.pointer);
    return { kind: 'refer', secretId, owned: false };
  }

  /** Decides about a reference to one of this connection's own secrets. Null: it names none of them. */
  #owned(field: PreparedField, kind: string, row: ReferenceRow | undefined, secretId: string): Ruling | null {
    const moved = this.#state.references.find((other) => other.owned && other.secretId === secretId);
    if (moved !== undefined) return this.#moved(moved, row, field, kind, secretId);
    if (secretId !== this.#ownId(field, kind) || this.#isOthers(secretId)) return null;
    if (row?.holds === 'value') return this.#kept(row, field, kind, this.#order);
    const stored = this.#storedById.get(secretId);
    const isOurs = stored !== undefined && stored.state !== 'deleted';
    if (!isOurs && !this.#context.rules.adopt) return null;
    if (!isOurs) this.#refuseAmbiguousAdoption(field.found.pointer, kind, secretId);
    this.#refuseReferred(field.found.pointer, secretId);
    return { kind: 'refer', secretId, owned: true };
  }

  /** An event may adopt an id only if no other entity could mean it. */
  #refuseAmbiguousAdoption(pointer: string, kind: string, secretId: string): void {
    const problem = adoptionProblem(this.#context, this.#state, { kind, name: this.#name }, secretId);
    if (problem !== null)
      throw new EventError('ADOPTION_AMBIGUOUS', `${pointer} would adopt ${secretId}: ${problem}`, pointer);
  }

  /** Refuses a stored row that was altered since it was written, and a user's reference that would be refused today. */
  #refuseStored(row: ReferenceRow, pointer: string): void {
    requireUnaltered(row, this.#context.fingerprintKey);
    throwRefusal(refusalOfStored(row, this.#state.foreign, this.#context), pointer);
  }

  #isOthers(secretId: string): boolean {
    return isAmong(this.#state.foreign, secretId);
  }

  /**
   * The id belongs to a field of this connection: the new field becomes its owner. The fingerprint does not move along,
   * because it is made for one path.
   */
  #moved(
    moved: ReferenceRow,
    row: ReferenceRow | undefined,
    field: PreparedField,
    kind: string,
    secretId: string,
  ): Ruling {
    requireUnaltered(moved, this.#context.fingerprintKey);
    if (moved === row) return this.#kept(moved, field, kind, this.#order);
    if (isAtHome(moved, this.#state, this.#context)) return { kind: 'refer', secretId, owned: true };
    return this.#copy(moved, this.#ownId(field, kind), field.found.pointer, this.#order, null);
  }

  /** Refuses an id that another connection has, or has retired and not yet deleted. */
  #refuseCollision(pointer: string, secretId: string): void {
    const holder = this.#state.foreign.find(
      (stored) =>
        stored.secretId === secretId &&
        stored.manager === this.#context.manager.name &&
        stored.state !== 'deleted',
    );
    if (holder !== undefined)
      throw new EventError(
        'SECRET_ID_COLLISION',
        `${pointer} of connection ${this.#state.connection.id} would take ${collidedName({ secretId, connectionId: holder.connectionId })}`,
        pointer,
      );
  }
}

/**
 * Whether the active manager has a field's value. A connection moves as a whole, so its own manager has everything that it
 * owns. A user's references never move.
 */
export function isAtHome(
  row: Pick<ReferenceRow, 'owned' | 'holds'>,
  { connection }: Pick<LockedState, 'connection'>,
  { manager }: Pick<PlanContext, 'manager'>,
): boolean {
  if (!row.owned) return true;
  if (row.holds === 'value') return manager.keeps === 'database';
  return connection.manager === manager.name;
}

/** A field's id in the active manager, made from the stored connection. */
export function ownIdOf(
  path: string,
  { id, name, kind, root }: LockedState['connection'],
  { ids }: Pick<PlanContext, 'ids'>,
): string {
  return ids.build(kind ?? '', name ?? '', idPathOf(path, (root ?? 'service') as EntityRoot), id);
}
