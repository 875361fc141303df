import { connectionsById, forgetSent, referencesById, type StateCopy } from '../../../database/copy-state.js';
import type { Database } from '../../../database/database.js';
import { eventHashesOf, newConnection } from '../../../database/load-state.js';
import type { ConnectionRow } from '../../../database/rows.js';
import type { Claim } from '../../../pipeline/claim.js';
import type {
  Changes,
  ClaimRequest,
  ClaimResult,
  CommitRequest,
  CommitResult,
  Ledger,
} from '../../../pipeline/ledger.js';

type Before = Pick<ConnectionRow, 'revision' | 'state' | 'name' | 'kind'>;

/**
 * The ledger of a copy in memory, into which each connection comes when it is first asked for. So one event of a
 * connection is decided on what the ones before it have made.
 */
export class CopyingLedger implements Ledger {
  /** As the connections stood, by their ids; those that were not there are not in it. */
  readonly before = new Map<string, Before>();
  readonly #inner: Ledger;
  readonly #copy: StateCopy | null;
  readonly #database: Database;
  readonly #known = new Set<string>();
  /** One at a time: a copy that came in between would bring back what a decision has removed. */
  #tail: Promise<unknown> = Promise.resolve();

  /** @param copy null: there is nothing to copy from */
  constructor(inner: Ledger, copy: StateCopy | null, database: Database) {
    this.#inner = inner;
    this.#copy = copy;
    this.#database = database;
  }

  claim<Plan>(requests: readonly ClaimRequest<Plan>[]): Promise<ClaimResult<Plan>[]> {
    const result = this.#tail.then(async () => {
      if (this.#copy !== null) await this.#load(this.#copy, requests);
      return this.#inner.claim(requests);
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async settle(requests: Parameters<Ledger['settle']>[0]): Promise<void> {
    await this.#inner.settle(requests);
    await forgetSent(this.#database);
  }

  commit(requests: readonly CommitRequest[]): Promise<(CommitResult | null)[]> {
    return this.#inner.commit(requests);
  }

  keep(...args: Parameters<Ledger['keep']>): ReturnType<Ledger['keep']> {
    return this.#inner.keep(...args);
  }

  append(changes: readonly Changes[]): Promise<void> {
    return this.#inner.append(changes);
  }

  markSent(ids: readonly string[]): Promise<void> {
    return this.#inner.markSent(ids);
  }

  unsent(limit: number): ReturnType<Ledger['unsent']> {
    return this.#inner.unsent(limit);
  }

  due(...args: Parameters<Ledger['due']>): ReturnType<Ledger['due']> {
    return this.#inner.due(...args);
  }

  payloadOf(eventHash: string): Promise<string | null> {
    return this.#inner.payloadOf(eventHash);
  }

  untidy(...args: Parameters<Ledger['untidy']>): ReturnType<Ledger['untidy']> {
    return this.#inner.untidy(...args);
  }

  doubtMs(...args: Parameters<Ledger['doubtMs']>): ReturnType<Ledger['doubtMs']> {
    return this.#inner.doubtMs(...args);
  }

  retirements(...args: Parameters<Ledger['retirements']>): ReturnType<Ledger['retirements']> {
    return this.#inner.retirements(...args);
  }

  elsewhere(...args: Parameters<Ledger['elsewhere']>): ReturnType<Ledger['elsewhere']> {
    return this.#inner.elsewhere(...args);
  }

  renew(claim: Claim): Promise<Claim | null> {
    return this.#inner.renew(claim);
  }

  async #load(copy: StateCopy, requests: readonly ClaimRequest<unknown>[]): Promise<void> {
    const ids = [...new Set(requests.map(({ connectionId }) => connectionId))];
    const fresh = ids.filter((id) => !this.#known.has(id));
    for (const row of await copy.connections(fresh)) this.before.set(row.id, row);
    for (const id of fresh) this.#known.add(id);
    await copy.inbox(requests.flatMap(eventHashesOf));
    const rows = await connectionsById(this.#database, ids);
    const references = await referencesById(this.#database, ids);
    await copy.storedSecrets(
      requests.flatMap((request) => {
        const { connectionId } = request;
        const row = rows.get(connectionId) ?? newConnection(connectionId, 0);
        return request.secretIds(row, references.get(connectionId) ?? []);
      }),
    );
  }
}
