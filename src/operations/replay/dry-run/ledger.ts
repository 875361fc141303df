import { connectionsById, forgetSent, referencesById, type StateCopy } from '../../../database/copy-state.js';
import type { Database } from '../../../database/database.js';
import { DatabaseLedger, type LedgerOptions } from '../../../database/ledger.js';
import { eventHashesOf, newConnection } from '../../../database/load-state.js';
import type { ConnectionRow } from '../../../database/rows.js';
import type { ClaimRequest, ClaimResult, Ledger } from '../../../pipeline/ledger.js';

/**
 * The ledger of a dry run. It works on a database in memory and copies a connection into it with the first claim. So each
 * event is decided on the state that the events before it would have made.
 */
export class CopyingLedger extends DatabaseLedger {
  readonly #copy: StateCopy | null;
  readonly #memory: Database;
  readonly #before: Map<string, ConnectionRow>;
  readonly #known = new Set<string>();
  /** Claims run one after another: a copy in between would bring back what a decision has just removed. */
  #tail: Promise<unknown> = Promise.resolve();

  /**
   * @param copy null: there is no database to copy from
   * @param before gets the rows of the connections as they are in the database, by their ids
   */
  constructor(
    memory: Database,
    options: LedgerOptions,
    copy: StateCopy | null,
    before: Map<string, ConnectionRow>,
  ) {
    super(memory, options);
    this.#copy = copy;
    this.#memory = memory;
    this.#before = before;
  }

  override claim<Plan>(requests: readonly ClaimRequest<Plan>[]): Promise<ClaimResult<Plan>[]> {
    const result = this.#tail.then(async () => {
      if (this.#copy !== null) await this.#load(this.#copy, requests);
      return super.claim(requests);
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }

  override async settle(requests: Parameters<Ledger['settle']>[0]): Promise<void> {
    await super.settle(requests);
    await forgetSent(this.#memory);
  }

  async #load(copy: StateCopy, requests: readonly ClaimRequest<unknown>[]): Promise<void> {
    const ids = [...new Set(requests.map(({ connectionId }) => connectionId))];
    const fresh = ids.filter((id) => !this.#known.has(id));
    for (const row of await copy.connections(fresh)) this.#before.set(row.id, row);
    for (const id of fresh) this.#known.add(id);
    await copy.inbox(requests.flatMap(eventHashesOf));
    const rows = await connectionsById(this.#memory, ids);
    const references = await referencesById(this.#memory, ids);
    await copy.storedSecrets(
      requests.flatMap((request) => {
        const { connectionId } = request;
        const row = rows.get(connectionId) ?? newConnection(connectionId, 0);
        return request.secretIds(row, references.get(connectionId) ?? []);
      }),
    );
  }
}
