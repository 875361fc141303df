import { randomUUID } from 'node:crypto';
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
  DeadLetterHead,
  Decision,
  DoubtFilter,
  ElsewhereFilter,
  Ledger,
  LockedState,
  SettleRequest,
} from '../pipeline/ledger.js';
import { applyChanges } from './apply-changes.js';
import { databaseNowMs, nowSql, type Database, type Transaction } from './database.js';
import {
  findDoubtMs,
  findDue,
  findElsewhere,
  findPayload,
  findUnsent,
  findUntidy,
  findRetirements,
} from './find-pending.js';
import { DEAD_LETTER_HEAD, findOpen, groupBy, loadStates, lockConnections } from './load-state.js';
import { selectRows, tableName, updateRows } from './row-sql.js';
import type { ConnectionRow, OutboxRow, StoredSecretRow } from './rows.js';
import { lockManagerEpoch } from './manager-epoch.js';

export interface LedgerOptions {
  /** How long a claim lasts, milliseconds. */
  readonly claimMs: number;
  /** The epoch of the active manager this process works for. */
  readonly managerEpoch: number;
  readonly clock: MonotonicClock;
  /** Called with new dead letters, once the transaction that writes them is committed. */
  readonly onDeadLetters?: (letters: readonly DeadLetterHead[]) => void;
}

/** A second request for a connection in one group waits this long, then decides on the state that the first one made. */
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
    // `startedMs` is from before the transaction: our deadline must never be later than the expiry in the database.
    return this.#transaction(async (tx, made, startedMs) => {
      const states = await loadStates(tx, requests);
      const group = new ClaimGroup(startedMs + this.#options.claimMs, this.#options.claimMs);
      const decided = requests.map((request, index) => group.decide(request, states[index] as LockedState));
      const applied = decided.flatMap(({ changes }) => (changes === null ? [] : [changes]));
      await applyChanges(tx, applied);
      made.push(...applied);
      await takeClaims(tx, group.plainClaims, group.owner, group.expiresAtMs);
      const unsent = await unsentOf(tx, group.withUnsent);
      return decided.map(({ resultOf }) => resultOf(unsent));
    });
  }

  async commit(requests: readonly CommitRequest[]): Promise<(CommitResult | null)[]> {
    return this.#transaction(async (tx, made) => {
      const ids = requests.map(({ claim }) => claim.connectionId);
      const rows = await lockConnections(tx, ids);
      const valid = requests.map(({ claim }) => rows.get(claim.connectionId)?.claimEpoch === claim.epoch);
      const accepted = requests.filter((_, index) => valid[index]);
      const open = await findOpen(tx, ids);
      const applied = accepted.map(({ claim, changes }) => keepClaim(changes, rows.get(claim.connectionId)));
      await applyChanges(tx, applied);
      made.push(...applied);
      const waiting = await withWaiting(tx, [...open.withKept]);
      const unsent = await unsentOf(tx, [...open.withUnsent]);
      return requests.map(({ claim: { connectionId }, changes }, index) =>
        valid[index]
          ? {
              unsent: unsent.get(connectionId) ?? changes.outbox ?? [],
              hasWaiting: waiting.has(connectionId),
            }
          : null,
      );
    });
  }

  async settle(requests: readonly SettleRequest[]): Promise<void> {
    if (this.#database.dialect === 'postgres') return this.#database.run((tx) => settleAtOnce(tx, requests));
    return this.#database.transaction(async (tx) => {
      await markSent(
        tx,
        requests.flatMap(({ sentIds }) => sentIds),
      );
      await releaseClaims(tx, requests);
    });
  }

  async keep(eventHash: string, decide: Parameters<Ledger['keep']>[1]): Promise<Changes> {
    return this.#telling(async (tx, made) => {
      const { manager, tables } = tx;
      const [known = null] = await manager.find(tables.deadLetter, {
        where: { eventHash },
        select: DEAD_LETTER_HEAD,
      });
      const changes = decide(known);
      await applyChanges(tx, [changes]);
      made.push(changes);
      return changes;
    });
  }

  async append(changes: readonly Changes[]): Promise<void> {
    await this.#telling(async (tx, made) => {
      await applyChanges(tx, changes);
      made.push(...changes);
    });
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

  async payloadOf(eventHash: string): Promise<string | null> {
    return this.#database.run((tx) => findPayload(tx, eventHash));
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

  #transaction<T>(work: (tx: Transaction, made: Changes[], startedMs: number) => Promise<T>): Promise<T> {
    const { clock, managerEpoch } = this.#options;
    return this.#telling(async (tx, made) => {
      const startedMs = clock();
      if ((await lockManagerEpoch(tx)) !== managerEpoch)
        throw new ConfigurationError(
          'MANAGER_MISMATCH',
          'the secrets manager of this database was changed, or the database declared restored: start again',
        );
      return work(tx, made, startedMs);
    });
  }

  /** @param work pushes the changes that it has applied to `made`; it may be called more than once */
  async #telling<T>(work: (tx: Transaction, made: Changes[]) => Promise<T>): Promise<T> {
    let made: Changes[] = [];
    const result = await this.#database.transaction((tx) => {
      made = [];
      return work(tx, made);
    });
    const letters = made.flatMap(({ deadLetters }) => deadLetters?.set.filter(isDead) ?? []);
    if (letters.length > 0) this.#options.onDeadLetters?.(letters);
    return result;
  }
}

/** By connection, in publishing order. */
type UnsentRows = ReadonlyMap<string, readonly OutboxRow[]>;

interface Decided<Plan> {
  readonly changes: Changes | null;
  /** Makes the result from the unsent records that {@link ClaimGroup.withUnsent} asked for. */
  readonly resultOf: (unsent: UnsentRows) => ClaimResult<Plan>;
}

/** Makes the decisions of one transaction. Later decisions see the secret ids that earlier ones have taken. */
class ClaimGroup {
  readonly owner = randomUUID();
  /** Connections that are claimed without another change of their row. */
  readonly plainClaims: string[] = [];
  /** Connections that had unsent records before this transaction. */
  readonly withUnsent: string[] = [];
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
          resultOf: () => ({ kind: 'settled', outcome: decision.outcome }),
        };
      case 'write': {
        const claim = this.#claim(state.connection);
        this.plainClaims.push(claim.connectionId);
        return {
          changes: decision.changes,
          resultOf: () => ({ kind: 'writing', claim, plan: decision.plan, state }),
        };
      }
      case 'commit': {
        const claim = this.#claim(state.connection);
        const { changes } = decision;
        if (changes.connection === undefined) this.plainClaims.push(claim.connectionId);
        if (state.hasUnsent) this.withUnsent.push(claim.connectionId);
        return {
          changes: this.#withClaim(changes, claim),
          resultOf: (unsent) => ({
            kind: 'committed',
            outcome: decision.outcome,
            claim,
            unsent: unsent.get(claim.connectionId) ?? changes.outbox ?? [],
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

function isDead({ state }: DeadLetterHead): boolean {
  return state === 'dead';
}

function rowsOf({ stored = {} }: Changes): StoredSecretRow[] {
  return [...(stored.insert ?? []), ...(stored.update ?? []), ...(stored.revive ?? []).map(({ row }) => row)];
}

function busy<Plan>(waitMs: number): Decided<Plan> {
  return { changes: null, resultOf: () => ({ kind: 'busy', waitMs }) };
}

function waitsAfter(state: LockedState, changes: Changes): boolean {
  const removed = new Set(changes.deadLetters?.removeEventHashes ?? []);
  return state.deadLetters.some((head) => head.state === 'waiting' && !removed.has(head.eventHash));
}

/** A commit writes the whole row, but must keep the claim columns that the database has. */
function keepClaim(changes: Changes, row: ConnectionRow | undefined): Changes {
  if (changes.connection === undefined || row === undefined) return changes;
  const { claimOwner, claimEpoch, claimExpiresAtMs } = row;
  return { ...changes, connection: { ...changes.connection, claimOwner, claimEpoch, claimExpiresAtMs } };
}

async function takeClaims(
  tx: Transaction,
  ids: readonly string[],
  owner: string,
  expiresAtMs: number,
): Promise<void> {
  await updateRows(tx, tx.tables.connection, {
    where: ['id', ids],
    set: { claimOwner: owner, claimExpiresAtMs: expiresAtMs },
    sql: { claimEpoch: 'claim_epoch + 1' },
  });
}

async function releaseClaims(tx: Transaction, requests: readonly SettleRequest[]): Promise<void> {
  const { connection } = tx.tables;
  // An UPDATE locks rows in the order it finds them, a claim in the order of ids: together a deadlock. So lock by id first.
  const rows = await selectRows(tx, connection, {
    where: ['id', requests.map(({ claim }) => claim.connectionId)],
    columns: ['id', 'claimEpoch'],
    orderBy: ['id'],
    forUpdate: true,
  });
  const epochs = new Map(rows.map(({ id, claimEpoch }) => [id, claimEpoch]));
  const own = requests.filter(({ claim }) => epochs.get(claim.connectionId) === claim.epoch);
  const idsOf = (published: boolean): string[] =>
    own.filter(({ isPublished }) => isPublished === published).map(({ claim }) => claim.connectionId);
  const released = { claimOwner: null, claimExpiresAtMs: 0 };
  await updateRows(tx, connection, { where: ['id', idsOf(false)], set: released });
  await updateRows(tx, connection, {
    where: ['id', idsOf(true)],
    set: { ...released, unpublishedSinceMs: null },
  });
}

/** Marks and releases in one statement, which is a transaction of its own. It locks rows in the order of their ids, too. */
async function settleAtOnce(tx: Transaction, requests: readonly SettleRequest[]): Promise<void> {
  const { manager, tables, dialect } = tx;
  const [connection, outbox] = [tableName(tx, tables.connection), tableName(tx, tables.outbox)];
  const sentIds = requests.flatMap((request) => request.sentIds);
  const own = `own AS (
    SELECT c.id, held.published FROM ${connection} AS c
    JOIN unnest($1::text[], $2::bigint[], $3::boolean[]) AS held (id, epoch, published)
      ON c.id = held.id AND c.claim_epoch = held.epoch
    ORDER BY c.id FOR UPDATE OF c
  )`;
  const release = `UPDATE ${connection} AS c SET claim_owner = NULL, claim_expires_at_ms = 0,
    unpublished_since_ms = CASE WHEN own.published THEN NULL ELSE c.unpublished_since_ms END
    FROM own WHERE c.id = own.id`;
  const mark = `UPDATE ${outbox} SET sent_at_ms = ${nowSql(dialect)} WHERE id = ANY($4)`;
  await manager.query(
    sentIds.length === 0 ? `WITH ${own} ${release}` : `WITH ${own}, released AS (${release}) ${mark}`,
    [
      requests.map(({ claim }) => claim.connectionId),
      requests.map(({ claim }) => claim.epoch),
      requests.map(({ isPublished }) => isPublished),
      ...(sentIds.length === 0 ? [] : [sentIds]),
    ],
  );
}

/** Marks outbox rows as sent. */
async function markSent(tx: Transaction, ids: readonly string[]): Promise<void> {
  await updateRows(tx, tx.tables.outbox, { where: ['id', ids], sql: { sentAtMs: nowSql(tx.dialect) } });
}

/** Unsent records by connection, in publishing order. */
async function unsentOf(tx: Transaction, ids: readonly string[]): Promise<UnsentRows> {
  const rows = await selectRows(tx, tx.tables.outbox, {
    where: ['connectionId', ids],
    and: 'sent_at_ms IS NULL',
    orderBy: ['revision', 'createdAtMs'],
  });
  return groupBy(rows, ({ connectionId }) => connectionId);
}

async function withWaiting(tx: Transaction, ids: readonly string[]): Promise<Set<string | null>> {
  const rows = await selectRows(tx, tx.tables.deadLetter, {
    where: ['connectionId', ids],
    and: "state = 'waiting'",
    columns: ['connectionId'],
  });
  return new Set(rows.map(({ connectionId }) => connectionId));
}
