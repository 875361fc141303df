import { expect } from 'vitest';
import { inspect } from 'node:util';
import { loadConfig, type Config } from '../../../src/config.js';
import { Database } from '../../../src/database/database.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { migrateSchema } from '../../../src/database/schema.js';
import { TEST_CHANGE } from '../migration/test-change.js';
import { changeActiveManager, loadIdentity } from '../../../src/database/settings.js';
import { Janitor } from '../../../src/upkeep/janitor.js';
import { Mover } from '../../../src/upkeep/mover.js';
import { openFieldFinder } from '../../../src/worker/worker.js';
import { ConfigurationError, type WorkerError } from '../../../src/errors.js';
import { createSecretIdBuilder } from '../../../src/ids/index.js';
import { ClaimGuard } from '../../../src/pipeline/claim.js';
import type { PlanContext } from '../../../src/pipeline/context.js';
import { EventProcessor } from '../../../src/pipeline/event-processor.js';
import type { HandledRecord } from '../../../src/pipeline/observer.js';
import { Lanes } from '../../../src/pipeline/group.js';
import { Pipeline } from '../../../src/pipeline/pipeline.js';
import { UnderClaim } from '../../../src/pipeline/under-claim.js';
import { Relay } from '../../../src/pipeline/relay.js';
import { UndecodableProcessor } from '../../../src/pipeline/undecodable.js';
import type { SecretsManager, StoreLimits } from '../../../src/secrets-managers/port.js';
import { SealedStore } from '../../../src/secrets-managers/sealed/store.js';
import type { ManagerName, RecordOutcome, SourceRecord } from '../../../src/terms.js';
import {
  createDatabase,
  disposeLater,
  queryDatabase,
  TABLES,
  type DatabaseEngine,
} from '../../harness/index.js';
import { FakeOutlet, FakeTopics } from './fake-outlet.js';
import { scriptedManager, ScriptedStore } from './scripted-store.js';

export const KEYS = {
  FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=',
  DEAD_LETTER_FERNET_KEY: 'AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=',
  INGESTION_FERNET_KEY: 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=',
  PUBLISHER_FERNET_KEY: 'QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=',
};
const STORE_TIMEOUT_MS = 200;
const NEVER = new AbortController().signal;

export interface BenchOptions {
  readonly engine?: DatabaseEngine;
  /** A database server of the test's own. */
  readonly server?: string;
  readonly manager?: ManagerName;
  readonly limits?: Partial<StoreLimits>;
  readonly claimMs?: number;
  /** Further settings, as in the environment. */
  readonly env?: Record<string, string>;
}

/** One worker process's parts, of {@link Bench.worker}. */
export interface BenchWorker {
  readonly database: Database;
  readonly ledger: DatabaseLedger;
  readonly underClaim: UnderClaim;
  readonly pipeline: Pipeline;
  readonly relay: Relay;
  readonly mover: Mover;
  readonly janitor: Janitor;
  readonly outlet: FakeOutlet;
  readonly context: PlanContext;
  readonly handled: HandledRecord[];
  /** Codes of the dead letters it was told of. */
  readonly deadLetters: string[];
  readonly failures: unknown[];
  /** Why records were not published. */
  readonly unpublished: string[];
  /** Added to its monotonic clock: how long the process was stopped (SIGSTOP) as far as it can tell. */
  stoppedMs: number;
  handle(record: SourceRecord): Promise<RecordOutcome>;
  /** What its last handled record came to, with the code of a refusal. */
  last(): { outcome: RecordOutcome; code: string | null; writes: number } | undefined;
}

/** Workers on one database, one scripted store and one pair of topics. */
export class Bench {
  readonly topics = new FakeTopics();
  readonly store = new ScriptedStore();
  readonly workers: BenchWorker[] = [];
  /** Managers that cannot be opened (any more). */
  readonly closed = new Set<ManagerName>();
  readonly #stores = new Map<ManagerName, ScriptedStore>();
  #shared: Database | null = null;

  private constructor(
    readonly url: string,
    private readonly options: BenchOptions,
  ) {}

  static async open(options: BenchOptions = {}): Promise<Bench> {
    const { url } = await createDatabase(options.engine ?? 'sqlite', options.server);
    const bench = new Bench(url, options);
    disposeLater(() => bench.close());
    return bench;
  }

  /** The store of a manager; the bench's own one is {@link store}. */
  storeOf(name: ManagerName): ScriptedStore {
    if (name === (this.options.manager ?? 'in-memory')) return this.store;
    const known = this.#stores.get(name);
    if (known !== undefined) return known;
    const made = new ScriptedStore();
    this.#stores.set(name, made);
    return made;
  }

  /** As a start under another manager would: workers of the old one are refused from now on. */
  async changeManager(to: ManagerName): Promise<void> {
    const [first] = this.workers;
    if (first === undefined) throw new Error('no worker has made the database yet');
    const [row] = await this.query(`SELECT value FROM setting WHERE name = 'manager_epoch'`);
    if (!(await changeActiveManager(first.database, Number(row?.['value']), to, TEST_CHANGE)))
      throw new Error('lost');
  }

  /** A further worker. Those of a SQLite bench share its one connection. */
  async worker(
    env: Record<string, string> = {},
    under?: ManagerName,
    newLimits?: Partial<StoreLimits>,
  ): Promise<BenchWorker> {
    const config = loadConfig(
      { ...KEYS, DATABASE_URL: this.url, ...this.options.env, ...env },
      { need: ['keys'] },
    );
    const database = await this.#openDatabase(config);
    const { manager: first = 'in-memory', limits = {}, claimMs = 15_000 } = this.options;
    const managerName = under ?? first;
    const identity = await loadIdentity(database, config.keys, managerName);
    const outlet = new FakeOutlet(this.topics);
    const manager = scriptedManager(this.storeOf(managerName), managerName, newLimits ?? limits);
    const managers = {
      of: (name: ManagerName): Promise<SecretsManager> => {
        if (this.closed.has(name))
          return Promise.reject(new ConfigurationError('CONFIG_INVALID', `${name}: no region`));
        if (name === manager.name) return Promise.resolve(manager);
        const store = name === 'db' ? new SealedStore(config.keys.database) : this.storeOf(name);
        return Promise.resolve(scriptedManager(store, name));
      },
    };
    const worker = { stoppedMs: 0 } as { -readonly [K in keyof BenchWorker]: BenchWorker[K] };
    const clock = (): number => performance.now() + worker.stoppedMs;
    const context: PlanContext = {
      manager,
      ids: createSecretIdBuilder({
        idStyle: 'slash',
        strict: false,
        prefix: '',
        cluster: config.secretsManager.clusterName,
        maxIdLength: manager.limits.maxIdLength,
        formerPrefixes: identity.ownPrefixes,
      }),
      fields: openFieldFinder(config),
      rings: config.keys,
      fingerprintKey: identity.fingerprintKey,
      generation: identity.generation,
      rules: {
        grants: null,
        adopt: config.secretsManager.adopt,
        sourceValues: config.rules.sourceValues,
        maskedSecretOnNewEndpoint: config.rules.maskedSecretOnNewEndpoint,
        publisherTokens: config.rules.publisherTokens,
        secretQuoted: config.rules.secretQuoted,
        allowedReferencePrefixes: config.rules.allowedReferencePrefixes ?? [],
        graceMs: config.rules.deletionGraceSeconds * 1_000,
        waitMs: config.rules.waitSeconds * 1_000,
        lateRequestMs: 60_000,
      },
      output: {
        references: config.secured.references,
        format: 'structured',
        maxRecordBytes: (stream) => outlet.maxRecordBytes(stream),
      },
    };
    const deadLetters: string[] = [];
    const ledger = new DatabaseLedger(database, {
      ...{ claimMs, managerEpoch: identity.managerEpoch, clock },
      onDeadLetters: (letters) => deadLetters.push(...letters.map(({ code }) => code)),
    });
    const freeGate = { acquire: () => Promise.resolve() };
    const gateOf = () => freeGate;
    const guard = new ClaimGuard({ gateOf, ledger, clock, storeTimeoutMs: STORE_TIMEOUT_MS });
    const unpublished: string[] = [];
    const onUnpublished = ({ code }: WorkerError): void => void unpublished.push(code);
    const underClaim = new UnderClaim({ ledger, outlet, context, clock, onUnpublished });
    const handled: HandledRecord[] = [];
    const failures: unknown[] = [];
    const pipeline = new Pipeline({
      topics: config.topics,
      clockSkewMs: config.rules.clockSkewSeconds * 1_000,
      context,
      ledger,
      processor: new EventProcessor({
        ...{ context, managers, underClaim, guard, clock },
        storeLanes: config.worker.concurrency,
      }),
      lanes: new Lanes(),
      undecodable: new UndecodableProcessor(context, ledger, outlet, underClaim),
      observer: { handled: (record) => handled.push(record), failed: (_, error) => failures.push(error) },
      clock,
      now: Date.now,
    });
    Object.assign(worker, {
      database,
      ledger,
      underClaim,
      pipeline,
      relay: new Relay({ ledger, underClaim, outlet, context, onUnpublished }),
      mover: new Mover({
        context,
        managers,
        underClaim,
        guard,
        clock,
        actor: 'cli:tester',
      }),
      janitor: new Janitor({
        ledger,
        underClaim,
        managers,
        guard,
        rules: context.rules,
        tokenKey: identity.fingerprintKey,
        ring: config.keys.outbox,
      }),
      outlet,
      context,
      handled,
      deadLetters,
      failures,
      unpublished,
      handle: (record: SourceRecord) => pipeline.handle(record, NEVER),
      last: () => handled.at(-1),
    });
    this.workers.push(worker);
    return worker;
  }

  query(sql: string): Promise<Record<string, unknown>[]> {
    return queryDatabase({ url: this.url }, sql);
  }

  /** Every claim's time is over, by the database's clock. */
  async expireClaims(): Promise<void> {
    await this.#write('UPDATE connection SET claim_expires_at_ms = 1 WHERE claim_expires_at_ms > 0');
  }

  /** What was kept is due at once; with `over`, its time to wait has run out as well. */
  async makeDue({ over = false } = {}): Promise<void> {
    const waited = over ? ', wait_until_ms = 1' : '';
    await this.#write(`UPDATE dead_letter SET next_attempt_at_ms = 1${waited} WHERE next_attempt_at_ms > 0`);
  }

  /** The grace of everything retired, and all doubt, is over. */
  async endGrace(): Promise<void> {
    await this.#write(
      `UPDATE stored_secret SET due_at_ms = CASE WHEN due_at_ms IS NULL THEN NULL ELSE 1 END, suspect_until_ms = NULL`,
    );
  }

  async endDoubt(): Promise<void> {
    await this.#write('UPDATE stored_secret SET suspect_until_ms = 1 WHERE suspect_until_ms IS NOT NULL');
  }

  /** States of stored secrets by manager and id. */
  async storedBy(): Promise<Record<string, string>> {
    const rows = await this.query('SELECT manager, secret_id, state FROM stored_secret');
    return Object.fromEntries(
      rows.map((row) => [`${String(row['manager'])} ${String(row['secret_id'])}`, String(row['state'])]),
    );
  }

  async release(secretId: string): Promise<void> {
    await this.#write(
      `UPDATE stored_secret SET state = 'deleted', version = NULL, due_at_ms = NULL WHERE secret_id = '${secretId}'`,
    );
  }

  async #write(sql: string): Promise<void> {
    // The workers' own transactions go on meanwhile: one that loses against them is sent again.
    for (let tries = 0; ; tries += 1)
      try {
        await this.workers[0]?.database.transaction(({ manager }) => manager.query(sql));
        return;
      } catch (error) {
        const { failure } = error as { failure?: string };
        if (tries === 20 || (failure !== 'contention' && failure !== 'locked')) throw error;
      }
  }

  async stored(): Promise<Record<string, string>> {
    const rows = await this.query('SELECT secret_id, state FROM stored_secret ORDER BY secret_id');
    return Object.fromEntries(rows.map((row) => [String(row['secret_id']), String(row['state'])]));
  }

  /** Codes of what waits or is dead, oldest event first. */
  async kept(): Promise<{ state: string; code: string }[]> {
    const rows = await this.query('SELECT state, code FROM dead_letter ORDER BY position');
    return rows.map((row) => ({ state: String(row['state']), code: String(row['code']) }));
  }

  /** No marker in any row, sent record, log record or error: a value is in the store and nowhere else. */
  async expectNoLeak(marker = 'MARK-'): Promise<void> {
    expect(await this.#dump()).not.toContain(marker);
    const records = this.topics.records.map(({ key, value, headers }) => ({
      key,
      value: value?.toString(),
      headers,
    }));
    expect(JSON.stringify(records)).not.toContain(marker);
    for (const { handled, failures } of this.workers) {
      expect(JSON.stringify(handled)).not.toContain(marker);
      expect(inspect(failures, { depth: 12, showHidden: true, getters: true })).not.toContain(marker);
    }
  }

  async #dump(): Promise<string> {
    const rows = [];
    for (const table of TABLES) rows.push(await this.query(`SELECT * FROM ${table}`));
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  }

  async #openDatabase(config: Config<'keys'>): Promise<Database> {
    if (this.#shared !== null) return this.#shared;
    const { address, poolSize } = config.database;
    const database = await Database.open({ address, poolSize }, { access: 'write' });
    await migrateSchema(database);
    if (address.type === 'sqlite') this.#shared = database;
    return database;
  }

  async close(): Promise<void> {
    for (const database of new Set(this.workers.map((worker) => worker.database))) await database.close();
  }
}

/** A bench with one worker. */
export async function openBench(options: BenchOptions = {}): Promise<{ bench: Bench; worker: BenchWorker }> {
  const bench = await Bench.open(options);
  return { bench, worker: await bench.worker() };
}

/** The code of a WorkerError that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}
