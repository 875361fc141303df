import { randomUUID } from 'node:crypto';
import { In, IsNull } from 'typeorm';
import { ConfigurationError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import type { ManagerName } from '../terms.js';
import type { Claim, MonotonicClock } from '../pipeline/claim.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  CommitRequest,
  CommitResult,
  Decision,
  DoubtFilter,
  ElsewhereFilter,
  Ledger,
  LockedState,
} from '../pipeline/ledger.js';
import { applyChanges } from './apply-changes.js';
import { databaseNowMs, type Database, type Transaction } from './database.js';
import { findDoubtMs, findDue, findElsewhere, findUnsent, findUntidy } from './find-pending.js';
import { findRetirements } from './find-retirements.js';
import { loadStates, lockConnections } from './load-state.js';
import type { ConnectionRow, OutboxRow, StoredSecretRow } from './rows.js';
import { lockManagerEpoch } from './settings.js';

export interface LedgerOptions {
  /** How long a claim lasts, milliseconds. */
  readonly claimMs: number;
  /** The epoch of the active manager this process works for. */
  readonly managerEpoch: number;
  readonly clock: MonotonicClock;
}

/** A second request for one connection in one group decides on what the first one has made. */
const SAME_GROUP_WAIT_MS = 5;

/** The pipeline's {@link Ledger} over the database. */
export class DatabaseLedger implements Ledger {
  readonly #database: Database;
  readonly #options: LedgerOptions;

  constructor(database: Database, options: LedgerOptions) {
    this.#database = database;
    this.#options = options;
  }

  async claim<Plan>(requests: readonly ClaimRequest<Plan>[]): Promise<ClaimResult<Plan>[]> {
    // Before the transaction is sent: our deadline must never lie behind the expiry that the database computes in it.
    return this.#transaction(async (tx, startedMs) => {
      const states = await loadStates(tx, requests);
      const group = new ClaimGroup(startedMs + this.#options.claimMs, this.#options.claimMs);
      const decided = requests.map((request, index) => group.decide(request, states[index] as LockedState));
      await applyChanges(
        tx,
        decided.flatMap(({ changes }) => (changes === null ? [] : [changes])),
      );
      await takeClaims(tx, group.plainClaims, group.owner, group.expiresAtMs);
      return Promise.all(decided.map(({ finish }) => finish(tx)));
    });
  }

  async commit(requests: readonly CommitRequest[]): Promise<(CommitResult | null)[]> {
    return this.#transaction(async (tx) => {
      const ids = requests.map(({ claim }) => claim.connectionId);
      const rows = await lockConnections(tx, ids);
      const valid = requests.map(({ claim }) => rows.get(claim.connectionId)?.claimEpoch === claim.epoch);
      const accepted = requests.filter((_, index) => valid[index]);
      await applyChanges(
        tx,
        accepted.map(({ claim, changes }) => keepClaim(changes, rows.get(claim.connectionId))),
      );
      const waiting = await withWaiting(tx, ids);
      const unsent = await unsentOf(tx, ids);
      return requests.map(({ claim: { connectionId } }, index) =>
        valid[index]
          ? { unsent: unsent.get(connectionId) ?? [], hasWaiting: waiting.has(connectionId) }
          : null,
      );
    });
  }

  async settle(requests: readonly { claim: Claim; sentIds: readonly string[] }[]): Promise<void> {
    await this.#database.transaction(async (tx) => {
      await markSent(
        tx,
        requests.flatMap(({ sentIds }) => sentIds),
      );
      await releaseClaims(
        tx,
        requests.map(({ claim }) => claim),
      );
    });
  }

  async append(changes: readonly Changes[]): Promise<void> {
    await this.#database.transaction((tx) => applyChanges(tx, changes));
  }

  async markSent(ids: readonly string[]): Promise<void> {
    await this.#database.transaction((tx) => markSent(tx, ids));
  }

  unsent(limit: number): ReturnType<Ledger['unsent']> {
    return this.#database.run((tx) => findUnsent(tx, limit));
  }

  due(filter: Parameters<Ledger['due']>[0], limit: number): ReturnType<Ledger['due']> {
    return this.#database.run((tx) => findDue(tx, filter, limit));
  }

  untidy(limit: number, except: readonly ManagerName[]): ReturnType<Ledger['untidy']> {
    return this.#database.run((tx) => findUntidy(tx, limit, except));
  }

  doubtMs(filter: DoubtFilter): ReturnType<Ledger['doubtMs']> {
    return this.#database.run((tx) => findDoubtMs(tx, filter));
  }

  elsewhere(filter: ElsewhereFilter, limit: number): ReturnType<Ledger['elsewhere']> {
    return this.#database.run((tx) => findElsewhere(tx, filter, limit));
  }

  retirements(connectionId: string, secretIds: readonly string[]): ReturnType<Ledger['retirements']> {
    return this.#database.run((tx) => findRetirements(tx, connectionId, secretIds));
  }

  async renew(claim: Claim): Promise<Claim | null> {
    const { clock, claimMs } = this.#options;
    const startedMs = clock();
    return this.#database.transaction(async (tx) => {
      const nowMs = await databaseNowMs(tx);
      const { affected } = await tx.manager.update(
        tx.tables.connection,
        { id: claim.connectionId, claimEpoch: claim.epoch, claimOwner: claim.owner },
        { claimExpiresAtMs: nowMs + claimMs },
      );
      return affected === 1 ? { ...claim, deadlineMs: startedMs + claimMs } : null;
    });
  }

  #transaction<T>(work: (tx: Transaction, startedMs: number) => Promise<T>): Promise<T> {
    const { clock, managerEpoch } = this.#options;
    return this.#database.transaction(async (tx) => {
      const startedMs = clock();
      if ((await lockManagerEpoch(tx)) !== managerEpoch)
        throw new ConfigurationError(
          'MANAGER_MISMATCH',
          'the secrets manager of this database was changed, or the database declared restored: start again',
        );
      return work(tx, startedMs);
    });
  }
}

interface Decided<Plan> {
  readonly changes: Changes | null;
  readonly finish: (tx: Transaction) => Promise<ClaimResult<Plan>>;
}

/** The decisions of one transaction: later ones see which secret ids earlier ones have taken. */
class ClaimGroup {
  readonly owner = randomUUID();
  /** Connections whose claim is taken by itself, their row otherwise unchanged. */
  readonly plainClaims: string[] = [];
  expiresAtMs = 0;
  readonly #deadlineMs: number;
  readonly #claimMs: number;
  readonly #decidedIds = new Set<string>();
  readonly #taken: StoredSecretRow[] = [];

  constructor(deadlineMs: number, claimMs: number) {
    this.#deadlineMs = deadlineMs;
    this.#claimMs = claimMs;
  }

  decide<Plan>(request: ClaimRequest<Plan>, state: LockedState): Decided<Plan> {
    const { connection, nowMs } = state;
    this.expiresAtMs = nowMs + this.#claimMs;
    const claimedForMs = connection.claimOwner === null ? 0 : connection.claimExpiresAtMs - nowMs;
    if (claimedForMs > 0) return busy(claimedForMs);
    if (this.#decidedIds.has(connection.id)) return busy(SAME_GROUP_WAIT_MS);
    this.#decidedIds.add(connection.id);
    const decision = request.decide({
      ...state,
      foreign: [...state.foreign, ...this.#takenBefore(request, state)],
    });
    if (decision.kind !== 'later') this.#taken.push(...rowsOf(decision.changes));
    return this.#carryOut(decision, state);
  }

  #takenBefore(request: ClaimRequest<unknown>, { connection, references }: LockedState): StoredSecretRow[] {
    if (this.#taken.length === 0) return [];
    const hashes = new Set(request.secretIds(connection, references).map(sha256Hex));
    return this.#taken.filter((row) => row.connectionId !== connection.id && hashes.has(row.secretIdHash));
  }

  #carryOut<Plan>(decision: Decision<Plan>, state: LockedState): Decided<Plan> {
    switch (decision.kind) {
      case 'later':
        return busy(decision.waitMs);
      case 'settle':
        return {
          changes: decision.changes,
          finish: () => Promise.resolve({ kind: 'settled', outcome: decision.outcome }),
        };
      case 'write': {
        const claim = this.#claim(state.connection);
        this.plainClaims.push(claim.connectionId);
        return {
          changes: decision.changes,
          finish: () => Promise.resolve({ kind: 'writing', claim, plan: decision.plan, state }),
        };
      }
      case 'commit': {
        const claim = this.#claim(state.connection);
        const { changes } = decision;
        if (changes.connection === undefined) this.plainClaims.push(claim.connectionId);
        return {
          changes: this.#withClaim(changes, claim),
          finish: async (tx) => ({
            kind: 'committed',
            outcome: decision.outcome,
            claim,
            unsent: state.hasUnsent
              ? ((await unsentOf(tx, [claim.connectionId])).get(claim.connectionId) ?? [])
              : (changes.outbox ?? []),
            hasWaiting: waitsAfter(state, changes),
          }),
        };
      }
    }
  }

  #claim({ id, claimEpoch }: ConnectionRow): Claim {
    return { connectionId: id, owner: this.owner, epoch: claimEpoch + 1, deadlineMs: this.#deadlineMs };
  }

  #withClaim(changes: Changes, claim: Claim): Changes {
    if (changes.connection === undefined) return changes;
    return {
      ...changes,
      connection: {
        ...changes.connection,
        claimOwner: claim.owner,
        claimEpoch: claim.epoch,
        claimExpiresAtMs: this.expiresAtMs,
      },
    };
  }
}

function rowsOf({ stored = {} }: Changes): StoredSecretRow[] {
  return [...(stored.insert ?? []), ...(stored.update ?? []), ...(stored.revive ?? []).map(({ row }) => row)];
}

function busy<Plan>(waitMs: number): Decided<Plan> {
  return { changes: null, finish: () => Promise.resolve({ kind: 'busy', waitMs }) };
}

function waitsAfter(state: LockedState, changes: Changes): boolean {
  const removed = new Set(changes.deadLetters?.removeEventHashes ?? []);
  return state.deadLetters.some((head) => head.state === 'waiting' && !removed.has(head.eventHash));
}

/** A commit writes the whole row, but the claim in it is the database's. */
function keepClaim(changes: Changes, row: ConnectionRow | undefined): Changes {
  if (changes.connection === undefined || row === undefined) return changes;
  const { claimOwner, claimEpoch, claimExpiresAtMs } = row;
  return { ...changes, connection: { ...changes.connection, claimOwner, claimEpoch, claimExpiresAtMs } };
}

async function takeClaims(
  { manager, tables }: Transaction,
  ids: readonly string[],
  owner: string,
  expiresAtMs: number,
): Promise<void> {
  if (ids.length === 0) return;
  await manager
    .createQueryBuilder()
    .update(tables.connection)
    .set({ claimOwner: owner, claimExpiresAtMs: expiresAtMs, claimEpoch: () => 'claim_epoch + 1' })
    .where({ id: In([...ids]) })
    .execute();
}

async function releaseClaims(tx: Transaction, claims: readonly Claim[]): Promise<void> {
  if (claims.length === 0) return;
  const { manager, tables } = tx;
  // An update of many rows locks them as it finds them: against a claim that locks by id, a deadlock.
  const ids = claims.map(({ connectionId }) => connectionId);
  if (ids.length > 1) await lockConnections(tx, ids);
  await manager
    .createQueryBuilder()
    .update(tables.connection)
    .set({ claimOwner: null, claimExpiresAtMs: 0 })
    .where(claims.map(({ connectionId, epoch }) => ({ id: connectionId, claimEpoch: epoch })))
    .execute();
}

/** Marks outbox rows as sent. */
export async function markSent(tx: Transaction, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const nowMs = await databaseNowMs(tx);
  await tx.manager.update(tx.tables.outbox, { id: In([...ids]) }, { sentAtMs: nowMs });
}

/** Unsent records by connection, in publishing order. */
async function unsentOf(
  { manager, tables }: Transaction,
  ids: readonly string[],
): Promise<Map<string, OutboxRow[]>> {
  const rows = await manager.find(tables.outbox, {
    where: { connectionId: In([...ids]), sentAtMs: IsNull() },
    order: { revision: 'ASC', createdAtMs: 'ASC' },
  });
  const groups = new Map<string, OutboxRow[]>();
  for (const row of rows)
    groups.set(row.connectionId ?? '', [...(groups.get(row.connectionId ?? '') ?? []), row]);
  return groups;
}

async function withWaiting(
  { manager, tables }: Transaction,
  ids: readonly string[],
): Promise<Set<string | null>> {
  const rows = await manager.find(tables.deadLetter, {
    where: { connectionId: In([...ids]), state: 'waiting' },
    select: { eventHash: true, connectionId: true },
  });
  return new Set(rows.map((row) => row.connectionId));
}
