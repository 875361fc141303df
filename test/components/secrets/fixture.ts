import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import pino from 'pino';
import { expect } from 'vitest';
import { openWorker, type Worker } from '../../../src/worker/worker.js';
import { loadConfig } from '../../../src/config.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { Janitor } from '../../../src/upkeep/janitor.js';
import { ClaimGuard } from '../../../src/pipeline/claim.js';
import type { HandledRecord } from '../../../src/pipeline/observer.js';
import { UnderClaim } from '../../../src/pipeline/under-claim.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { PutItem, SecretStore, StoreCall } from '../../../src/secrets-managers/port.js';
import type { RecordOutcome, SourceRecord } from '../../../src/terms.js';
import { createDatabase, disposeLater, TABLES } from '../../harness/index.js';
import { FakeOutlet, FakeTopics } from '../pipeline/fake-outlet.js';
import type { SentEvent } from '../pipeline/sent-event.js';

export const NEVER = new AbortController().signal;
/** FERNET_KEY and PUBLISHER_FERNET_KEY of every bench. */
export const BENCH_KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';
export const BENCH_PUBLISHER_KEY = 'QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=';
const ENV = {
  FERNET_KEY: BENCH_KEY,
  PUBLISHER_FERNET_KEY: BENCH_PUBLISHER_KEY,
  DEAD_LETTER_FERNET_KEY: 'AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=',
  SECRET_MANAGER_WRITES_PER_SECOND: '100000',
};
const FREE_CALL: StoreCall = { signal: NEVER, admitWrite: () => Promise.resolve() };

export type AuditEntry = Readonly<
  Record<
    'action' | 'actor' | 'connection_id' | 'path' | 'secret_id' | 'event_id' | 'detail',
    string | null
  > & { at_ms: number }
>;

/**
 * One worker, put together as the program does it (`openWorker`, real settings), on a SQLite database, with topics that
 * a test can read. `restart` ends it and starts another on the same database.
 */
export class Bench {
  readonly topics = new FakeTopics();
  readonly outlet = new FakeOutlet(this.topics);
  readonly handled: HandledRecord[] = [];
  readonly failures: unknown[] = [];
  readonly puts: { readonly secretId: string; readonly value: string }[] = [];
  #worker: Worker | null = null;
  #store: Pick<SecretStore, 'get' | 'put' | 'delete'> | null = null;
  /** Calls of the store since the worker started. */
  calls = 0;
  #log = '';

  private constructor(
    readonly url: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async open(env: Readonly<Record<string, string>> = {}): Promise<Bench> {
    const url = env['DATABASE_URL'] ?? (await createDatabase('sqlite')).url;
    const bench = new Bench(url, env);
    disposeLater(() => bench.close());
    await bench.#start(env);
    return bench;
  }

  get worker(): Worker {
    if (this.#worker === null) throw new Error('the bench is closed');
    return this.#worker;
  }

  /** Another process on the same database; further settings go over the first ones. */
  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.close();
    await this.#start({ ...this.env, ...env });
  }

  async #start(env: Readonly<Record<string, string>>): Promise<void> {
    const config = loadConfig(
      { ...ENV, DATABASE_URL: this.url, SECRET_MANAGER: 'in-memory', ...env },
      { need: ['keys'] },
    );
    const logger = pino(
      { level: 'trace' },
      {
        write: (line: string) => {
          this.#log += line;
        },
      },
    );
    this.#worker = await openWorker(config, {
      kafkaCluster: null,
      outlet: this.outlet,
      observer: {
        handled: (record) => {
          this.handled.push(record);
          logger.info(record);
        },
        failed: (_, error) => this.failures.push(error),
      },
    });
    this.#watch(this.#worker.manager.store);
  }

  /** Counts the calls, and notes what is put where. */
  #watch(store: SecretStore): void {
    const put: SecretStore['put'] = store.put.bind(store);
    const get: SecretStore['get'] = store.get.bind(store);
    const remove: SecretStore['delete'] = store.delete.bind(store);
    const describe: SecretStore['describe'] = store.describe.bind(store);
    const restore: SecretStore['restore'] = store.restore.bind(store);
    this.#store = { get, put, delete: remove };
    const counted = <A extends unknown[], R>(method: (...args: A) => R) => {
      return (...args: A): R => {
        this.calls += 1;
        return method(...args);
      };
    };
    store.put = counted((items, call) => {
      for (const { secretId, value } of items) this.puts.push({ secretId, value: value.reveal() });
      return put(items, call);
    });
    store.get = counted(get);
    store.delete = counted(remove);
    store.describe = counted(describe);
    store.restore = counted(restore);
  }

  /** A request of a worker that has lost its claim, landing now: past every guard and every count. */
  async land(item: Pick<PutItem, 'secretId' | 'connectionId'> & { value: string }): Promise<void> {
    const [result] = await this.#requireStore().put(
      [
        {
          ...item,
          value: new SecretValue(item.value),
          known: true,
          requestKey: randomUUID(),
          adopt: false,
        },
      ],
      FREE_CALL,
    );
    if (result?.ok !== true) throw new Error(`did not land: ${result?.error.message ?? 'no result'}`);
  }

  async valueOf(secretId: string): Promise<string | null> {
    const [result] = await this.#requireStore().get([{ reference: `secret:${secretId}` }], FREE_CALL);
    return result?.ok === true ? result.value.value.reveal() : null;
  }

  /** The same for a deletion. */
  async delete(secretId: string, connectionId: string): Promise<void> {
    await this.#requireStore().delete(
      [{ reference: `secret:${secretId}`, connectionId, isCommitted: true }],
      FREE_CALL,
    );
  }

  #requireStore(): Pick<SecretStore, 'get' | 'put' | 'delete'> {
    if (this.#store === null) throw new Error('the bench is closed');
    return this.#store;
  }

  handle(record: SourceRecord): Promise<RecordOutcome> {
    return this.worker.pipeline.handle(record, NEVER);
  }

  /** What the last handled record came to. */
  get last(): HandledRecord | undefined {
    return this.handled.at(-1);
  }

  sent(connectionId: string): SentEvent | undefined {
    return this.topics.lastOf(connectionId);
  }

  query(sql: string): Promise<Record<string, unknown>[]> {
    return this.worker.database.run(({ manager }) => manager.query<Record<string, unknown>[]>(sql));
  }

  /** A change behind the program's back: what time, or another process, would have brought about. */
  async change(sql: string): Promise<void> {
    await this.worker.database.run(({ manager }) => manager.query(sql));
  }

  async stored(): Promise<Record<string, string>> {
    const rows = await this.query('SELECT secret_id, state FROM stored_secret ORDER BY secret_id');
    return Object.fromEntries(rows.map((row) => [String(row['secret_id']), String(row['state'])]));
  }

  audit(where = '1 = 1'): Promise<AuditEntry[]> {
    return this.query(
      `SELECT * FROM audit WHERE ${where} ORDER BY at_ms, rowid`,
    ) as Promise<unknown> as Promise<AuditEntry[]>;
  }

  /** What was done to secrets and events; that an event was applied is not among it. */
  async acts(): Promise<AuditEntry[]> {
    return this.audit(`action <> 'apply'`);
  }

  async actions(): Promise<string[]> {
    return (await this.acts()).map(({ action }) => String(action));
  }

  async kept(): Promise<{ state: string; code: string }[]> {
    const rows = await this.query('SELECT state, code FROM dead_letter ORDER BY position');
    return rows.map((row) => ({ state: String(row['state']), code: String(row['code']) }));
  }

  /** The grace of everything retired, and the time of everything being deleted, is over. */
  async endGrace(): Promise<void> {
    await this.change('UPDATE stored_secret SET due_at_ms = 1 WHERE due_at_ms IS NOT NULL');
  }

  /** No request can land any more for what is in doubt. */
  async endDoubt(): Promise<void> {
    await this.change('UPDATE stored_secret SET suspect_until_ms = 1 WHERE suspect_until_ms IS NOT NULL');
  }

  async expireClaims(): Promise<void> {
    await this.change('UPDATE connection SET claim_expires_at_ms = 1 WHERE claim_expires_at_ms > 0');
  }

  tidy() {
    return this.worker.janitor.run(NEVER);
  }

  /** A janitor as another process would have it: its own ledger, guard and claims. */
  otherJanitor(): Janitor {
    const { database, identity, context } = this.worker;
    const clock = (): number => performance.now();
    const ledger = new DatabaseLedger(database, {
      claimMs: 15_000,
      managerEpoch: identity.managerEpoch,
      clock,
    });
    const gateOf = () => ({ acquire: () => Promise.resolve() });
    return new Janitor({
      ledger,
      underClaim: new UnderClaim({ ledger, outlet: this.outlet, context, clock }),
      managers: this.worker.managers,
      guard: new ClaimGuard({ gateOf, ledger, clock, storeTimeoutMs: 1_000 }),
      rules: context.rules,
      tokenKey: identity.fingerprintKey,
      ring: context.rings.outbox,
    });
  }

  /** All that is written down anywhere but in the store. */
  async everythingElse(): Promise<string> {
    const rows = [];
    for (const table of TABLES) rows.push(await this.query(`SELECT * FROM ${table}`));
    const records = this.topics.records.map(({ key, value, headers }) => [key, value?.toString(), headers]);
    return (
      JSON.stringify([rows, records]) +
      this.#log +
      inspect([this.handled, this.failures], { depth: 12, maxArrayLength: null, maxStringLength: null })
    );
  }

  async expectNowhereElse(marker: string): Promise<void> {
    expect(placesOf(marker, await this.everythingElse())).toEqual([]);
  }

  async close(): Promise<void> {
    await this.#worker?.close();
    this.#worker = null;
  }
}

/** Of a short marker; not where millions of characters of a sealed text happen to contain it. */
function placesOf(marker: string, text: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(marker); at !== -1; at = text.indexOf(marker, at + 1)) {
    const around = text.slice(Math.max(0, at - 100), at + marker.length + 100);
    if (!/^[\w-]{200,}$/.test(around)) places.push(at);
  }
  return places;
}
