import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditRow, StoredSecretRow } from '../../database/rows.js';
import { EventError } from '../../errors.js';
import { sha256Hex } from '../../hash.js';
import { auditRow, type AuditAction } from '../../pipeline/audit.js';
import type { ClaimGuard } from '../../pipeline/claim.js';
import type { Changes, ClaimRequest, Decision, LockedState } from '../../pipeline/ledger.js';
import { lossHash } from '../../pipeline/blocking.js';
import { fingerprintOf, isUnaltered, referenceRow, toReference } from '../../pipeline/references.js';
import { readingsOfState, type SecuredContext } from '../../pipeline/outbox.js';
import type { Act, Acted, Done, UnderClaim } from '../../pipeline/under-claim.js';
import type { Standing } from '../../secrets-managers/ownership.js';
import type { Fetched, SecretsManager, StoreCall } from '../../secrets-managers/port.js';
import type { Janitor } from '../../upkeep/janitor.js';
import { nextRevision } from '../republish.js';
import type { Finding, RepairState } from './finding.js';
import { isRecordedValue, type SecretInUse } from './judge-store.js';
import { ONCE_RECORDED } from './owned.js';

interface RepairParts {
  readonly manager: SecretsManager;
  /** Publishes nothing: a worker's relay does. */
  readonly underClaim: UnderClaim;
  readonly guard: ClaimGuard;
  readonly janitor: Janitor;
  readonly fingerprintKey: Buffer;
  readonly graceMs: number;
  /** The context of the connection's next secured event. */
  readonly securedContext: () => Promise<SecuredContext>;
  /** Who asked for the repair, for the audit. */
  readonly actor: string;
}

/** How often to try a connection under somebody else's claim, and the pause between tries, milliseconds. */
const BUSY_TRIES = 10;
const BUSY_PAUSE_MS = 200;

/** What the operator decided about values that were changed in the store; null: nothing. */
type ChangedValues = 'accept' | 'restore' | null;

/** What the operator wants repaired. */
export interface RepairWish {
  /** Everything that is safe to repair. */
  readonly repair: boolean;
  readonly changed: ChangedValues;
}

/**
 * Repairs the findings of one manager's store. Each repair takes the connection's claim, or its row's lock, and looks again
 * before it changes anything, because a worker may have repaired or changed it meanwhile.
 */
export class Repairer {
  readonly #parts: RepairParts;

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** @throws WorkerError if the store or the database fails */
  async repair(found: Finding, wish: RepairWish, signal: AbortSignal): Promise<RepairState> {
    const { connectionId, secretId, kind } = found;
    if (connectionId === null || secretId === null) return 'open';
    const target = { connectionId, secretId };
    if (kind === 'changed' || kind === 'replaced')
      return this.#settleChanged(kind, target, wish.changed, signal);
    if (!wish.repair) return 'open';
    switch (kind) {
      case 'tags':
        return this.#putTags(target, signal);
      case 'missing':
      case 'scheduled':
      case 'version':
        return this.#restore(target, signal);
      case 'unreferenced':
        return this.#retireUnreferenced(target);
      case 'orphan':
        return found.detail === ONCE_RECORDED ? this.#retireOrphan(target) : 'open';
      case 'unrecorded':
      case 'external':
      case 'foreign-reference':
      case 'token':
      case 'altered':
      case 'unsent':
      case 'denied':
        return 'open';
    }
  }

  /** Only a person can know which of the two values is right. */
  async #settleChanged(
    kind: 'changed' | 'replaced',
    target: Target,
    decided: ChangedValues,
    signal: AbortSignal,
  ): Promise<RepairState> {
    if (decided === 'accept') return this.#accept(target, signal);
    // A secret that was made anew has no version of ours in the store.
    return decided === 'restore' && kind === 'changed' ? this.#restore(target, signal) : 'open';
  }

  /**
   * Accepts the store's value as the newest: records its version and fingerprint, and publishes the next revision for
   * readers that have the old value. Does nothing to a secret of another connection or installation.
   */
  async #accept({ connectionId, secretId }: Target, signal: AbortSignal): Promise<RepairState> {
    const { guard, fingerprintKey, securedContext, manager } = this.#parts;
    const context = await securedContext();
    const accept: Act<null> = async ({ claim, state }) => {
      const inUse = this.#inUse(state, secretId);
      // A row that somebody has altered must not get a valid digest by this.
      const call = guard.callWithin(claim, manager.name, signal);
      const value =
        inUse === null || !isUnaltered(inUse.field, fingerprintKey)
          ? null
          : await this.#ownValue({ connectionId, secretId }, call);
      if (value === 'unknown') return MAY_LAND;
      return inUse === null || value === null ? NOTHING : this.#accepted(inUse, value, state, context);
    };
    const done = await this.#run(
      connectionId,
      (state) => (this.#inUse(state, secretId) === null ? settle({}) : WRITE),
      accept,
      (connection, references) => readingsOfState(connection, references, context),
    );
    return done.kind === 'committed' ? 'repaired' : 'left';
  }

  #accepted({ row, field }: SecretInUse, value: Fetched, state: LockedState, context: SecuredContext): Acted {
    const { connectionId, secretId } = row;
    const { path } = field;
    const fingerprint = fingerprintOf(this.#parts.fingerprintKey, connectionId, path, value.value.reveal());
    const accepted = referenceRow(
      { ...field, content: { holds: 'reference', secretId, owned: true, fingerprint } },
      context,
    );
    const references = state.references.map((one) => (one === field ? accepted : one));
    const next = nextRevision({ ...state, references }, context, 'rotated');
    if (next instanceof EventError || next.kind !== 'commit') return NOTHING;
    return committed({
      ...next.changes,
      references: { set: [accepted], removePathHashes: [] },
      stored: {
        update: [{ ...row, version: value.version, epoch: state.nextEpoch, updatedAtMs: state.nowMs }],
      },
      audit: [this.#audit(state, secretId, 'accept', 'the value that was changed in the store')],
    });
  }

  /** The store's current value of this connection's secret; null if it is not its own. Puts missing tags back. */
  async #ownValue({ connectionId, secretId }: Target, call: StoreCall): Promise<Fetched | 'unknown' | null> {
    const { store } = this.#parts.manager;
    const reference = toReference(secretId);
    const standing = await this.#openStanding({ connectionId, secretId }, call);
    if (standing === null) return null;
    if (standing.ownedBy === null || standing.installation === 'missing') {
      const tagged = await store.owned?.tag({ reference, connectionId }, call);
      if (tagged?.ok === false && tagged.error.applied === 'unknown') return 'unknown';
      if (tagged?.ok !== true) return null;
    }
    const [current] = await store.get([{ reference }], call);
    return current?.ok === true ? current.value : null;
  }

  /** The tags of a secret; null if it is not there or its tags name another connection or installation. */
  async #openStanding({ connectionId, secretId }: Target, call: StoreCall): Promise<Standing | null> {
    const described = await this.#parts.manager.store.describe(toReference(secretId), call);
    if (!described.ok || described.value.scheduledForDeletion) return null;
    const { ownedBy, installation } = described.value;
    const isOthers = installation === 'another' || (ownedBy !== null && ownedBy !== connectionId);
    return isOthers ? null : described.value;
  }

  #inUse(state: LockedState, secretId: string): SecretInUse | null {
    const row = this.#settledRow(state, secretId);
    const field = state.references.find((one) => one.secretId === secretId);
    return row === undefined || field === undefined ? null : { row, field };
  }

  /**
   * Marks the secret as in doubt, and lets the janitor tidy the connection. Under the claim it compares the store with the
   * recorded version, and restores that version or records the secret as lost. So the rules are the janitor's own.
   */
  async #restore({ connectionId, secretId }: Target, signal: AbortSignal): Promise<RepairState> {
    const { underClaim, janitor, manager } = this.#parts;
    const marked = await this.#run(connectionId, (state) => {
      const row = this.#settledRow(state, secretId);
      if (row === undefined) return settle({}, 'stale');
      const update = [{ ...row, suspectUntilMs: state.nowMs, updatedAtMs: state.nowMs }];
      return settle({ stored: { update } });
    });
    if (!isApplied(marked)) return 'left';
    await janitor.tidy(connectionId, manager.name, signal);
    let outcome: RepairState = 'left';
    await underClaim.run(
      request(connectionId, (state) => {
        const row = state.stored.find((one) => one.secretId === secretId && this.#isOurs(one));
        const isLost =
          row !== undefined && state.deadLetters.some((head) => head.eventHash === lossHash(row));
        outcome = isLost ? 'lost' : this.#settledRow(state, secretId) === undefined ? 'left' : 'repaired';
        return settle({});
      }),
    );
    return outcome;
  }

  async #putTags({ connectionId, secretId }: Target, signal: AbortSignal): Promise<RepairState> {
    const { manager, guard } = this.#parts;
    const { owned } = manager.store;
    const tag: Act<null> = async ({ claim, state }) => {
      const call = guard.callWithin(claim, manager.name, signal);
      const isKnown =
        (await this.#isRecorded(state, secretId, call)) || (await this.#isAdopted(state, secretId, call));
      if (!isKnown || owned === null) return NOTHING;
      const result = await owned.tag({ reference: toReference(secretId), connectionId }, call);
      if (result.ok)
        return committed({ audit: [this.#audit(state, secretId, 'repair', 'our tags put back')] });
      return result.error.applied === 'unknown' ? MAY_LAND : NOTHING;
    };
    const done = await this.#run(
      connectionId,
      (state) => (this.#settledRow(state, secretId) === undefined ? settle({}) : WRITE),
      tag,
    );
    return done.kind === 'committed' ? 'repaired' : 'left';
  }

  /** Whether the store's current value is certainly the recorded one, whatever its tags say. */
  async #isRecorded(state: LockedState, secretId: string, call: StoreCall): Promise<boolean> {
    const { manager, fingerprintKey } = this.#parts;
    const inUse = this.#inUse(state, secretId);
    const [current] = await manager.store.get([{ reference: toReference(secretId) }], call);
    if (inUse === null || current?.ok !== true) return false;
    const isSame = isRecordedValue(fingerprintKey, inUse, current.value.value);
    // The version number alone proves nothing: it begins again if the secret is made anew.
    return isSame === true && current.value.version === inUse.row.version;
  }

  /**
   * Whether the secret was adopted by reference and not written since. Then no value is recorded that we could compare. It
   * is ours by that decision, if its row is as we wrote it and the tags name nobody else.
   */
  async #isAdopted(state: LockedState, secretId: string, call: StoreCall): Promise<boolean> {
    const inUse = this.#inUse(state, secretId);
    if (inUse?.row.version !== null || inUse.field.fingerprint !== null) return false;
    if (!isUnaltered(inUse.field, this.#parts.fingerprintKey)) return false;
    return (await this.#openStanding({ connectionId: state.connection.id, secretId }, call)) !== null;
  }

  async #retireUnreferenced({ connectionId, secretId }: Target): Promise<RepairState> {
    const result = await this.#run(connectionId, (state) => {
      const row = this.#settledRow(state, secretId);
      const isUsed = state.references.some((one) => one.secretId === secretId);
      if (row === undefined || isUsed) return settle({}, 'stale');
      const audit = [this.#audit(state, secretId, 'retire', 'no field refers to it')];
      return settle({ stored: { update: [this.#retired(row, state)] }, audit });
    });
    return isApplied(result) ? 'repaired' : 'left';
  }

  async #retireOrphan({ connectionId, secretId }: Target): Promise<RepairState> {
    const { manager } = this.#parts;
    const result = await this.#run(
      connectionId,
      (state) => {
        const own = state.stored.find((one) => one.secretId === secretId && this.#isOurs(one));
        const others = state.foreign.filter((one) => this.#isOurs(one));
        if ((own !== undefined && own.state !== 'deleted') || others.length > 0) return settle({}, 'stale');
        const row: StoredSecretRow = {
          manager: manager.name,
          secretIdHash: sha256Hex(secretId),
          secretId,
          connectionId,
          state: 'retired',
          epoch: state.nextEpoch,
          version: null,
          suspectUntilMs: null,
          dueAtMs: null,
          updatedAtMs: state.nowMs,
        };
        const retired = this.#retired(row, state);
        const audit = [this.#audit(state, secretId, 'retire', 'an orphan in the store')];
        return settle({
          audit,
          stored:
            own === undefined ? { insert: [retired] } : { revive: [{ row: retired, from: connectionId }] },
        });
      },
      undefined,
      () => [secretId],
    );
    return isApplied(result) ? 'repaired' : 'left';
  }

  #settledRow({ stored }: LockedState, secretId: string): StoredSecretRow | undefined {
    return stored.find(
      (row) =>
        row.secretId === secretId && this.#isOurs(row) && row.state === 'live' && row.suspectUntilMs === null,
    );
  }

  #isOurs({ manager }: StoredSecretRow): boolean {
    return manager === this.#parts.manager.name;
  }

  #retired(row: StoredSecretRow, { nowMs, nextEpoch }: LockedState): StoredSecretRow {
    const dueAtMs = nowMs + this.#parts.graceMs;
    return { ...row, state: 'retired', epoch: nextEpoch, dueAtMs, updatedAtMs: nowMs };
  }

  #audit(
    { nowMs, references, connection }: LockedState,
    secretId: string,
    action: AuditAction,
    detail: string,
  ): AuditRow {
    const path = references.find((row) => row.secretId === secretId)?.path ?? null;
    const { actor } = this.#parts;
    return auditRow({
      atMs: nowMs,
      action,
      actor,
      connectionId: connection.id,
      path,
      secretId,
      eventId: null,
      detail,
    });
  }

  async #run(
    connectionId: string,
    decide: (state: LockedState) => Decision<null>,
    act?: Act<null>,
    secretIds?: ClaimRequest<null>['secretIds'],
  ): Promise<Done> {
    for (let tries = 1; ; tries += 1) {
      const done = await this.#parts.underClaim.run(request(connectionId, decide, secretIds), act);
      if (done.kind !== 'busy' || tries === BUSY_TRIES) return done;
      await sleep(BUSY_PAUSE_MS);
    }
  }
}

function isApplied(result: Done): boolean {
  return result.kind === 'settled' && result.outcome.name === 'applied';
}

interface Target {
  readonly connectionId: string;
  readonly secretId: string;
}

function request(
  connectionId: string,
  decide: (state: LockedState) => Decision<null>,
  secretIds: ClaimRequest<null>['secretIds'] = () => [],
): ClaimRequest<null> {
  return { connectionId, eventHash: null, secretIds, decide };
}

/** The decision to send requests to the store under the claim. Nothing is recorded beforehand. */
const WRITE: Decision<null> = { kind: 'write', plan: null, changes: {} };

const NOTHING: Acted = { kind: 'nothing', error: null, mayLand: false };
/** A request with unknown outcome may still be carried out. */
const MAY_LAND: Acted = { kind: 'nothing', error: null, mayLand: true };

function committed(changes: Changes): Acted {
  return { kind: 'commit', outcome: { name: 'applied', code: null }, changes };
}

function settle(changes: Changes, name: 'applied' | 'stale' = 'applied'): Decision<null> {
  return { kind: 'settle', outcome: { name, code: null }, changes };
}
