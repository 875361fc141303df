import type { EventErrorCode } from '../../../src/errors.js';
import { KeyRing, sealText } from '../../../src/fernet/index.js';
import { resealedRow } from '../../../src/pipeline/references.js';
import type { Json } from '../../../src/terms.js';
import { SecretValue } from '../../../src/secret-value.js';
import { changeEvent, CONNECTION, eventRecord, MASKED, OTHER, PASSWORD_ID, sourceRecord } from './events.js';
import { sealedFor } from '../../harness/index.js';
import { KEYS, type Bench, type BenchOptions, type BenchWorker } from './fixture.js';
import { plantReference } from './planted.js';

const SIGNAL = new AbortController().signal;
const FREE = { signal: SIGNAL, admitWrite: () => Promise.resolve() };
/** A key that somebody has taken off a list. */
const LOST_KEY = 'gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=';
/** The key under which {@link sealedByOthers} seals. */
const OTHER_PUBLISHER = { PUBLISHER_FERNET_KEY: 'YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8=' };

/** How one code comes about, and what a retry makes of it. Every value has the mark in it that a bench looks for. */
export interface DeadLetterRow {
  readonly options?: BenchOptions;
  /** Ends with exactly this one dead letter (`EVENT_BLOCKED`: and the one it is behind). */
  readonly cause: (worker: BenchWorker, bench: Bench) => Promise<unknown>;
  /** Takes the cause away; gives the worker that tries again. Null: the record itself is wrong, it stays what it is. */
  readonly mend: ((bench: Bench, worker: BenchWorker) => Promise<BenchWorker>) | null;
}

const sent =
  (...specs: Parameters<typeof eventRecord>[0][]): DeadLetterRow['cause'] =>
  async (worker) => {
    for (const spec of specs) await worker.handle(eventRecord(spec));
  };

const raw =
  (text: () => string): DeadLetterRow['cause'] =>
  (worker) =>
    worker.handle(sourceRecord(text()));

const restarted =
  (env: Record<string, string>): DeadLetterRow['mend'] =>
  (bench) =>
    bench.worker(env);

const same: DeadLetterRow['mend'] = (_, worker) => Promise.resolve(worker);

const json = (more: Record<string, Json> = {}, password: Json = 'MARK-a'): string =>
  JSON.stringify({ ...changeEvent({ password }), ...more });

function nested(levels: number): Json {
  let value: Json = 'MARK-deep';
  for (let level = 0; level < levels; level += 1) value = { password: value };
  return value;
}

const sealedByOthers = (): string =>
  sealedFor(OTHER_PUBLISHER.PUBLISHER_FERNET_KEY, CONNECTION, 'MARK-sealed');

async function timeIsOver(bench: Bench, worker: BenchWorker): Promise<void> {
  await bench.makeDue({ over: true });
  await worker.pipeline.retryKept(SIGNAL);
}

/** As a database does that does not take a state, whatever its reason: by a statement that is refused. */
const REFUSE_STATES = `CREATE TRIGGER refuse_states BEFORE UPDATE ON connection WHEN NEW.revision > 0 BEGIN SELECT RAISE(ABORT, 'no'); END`;

const ofServers = (at: number, servers: Json[]) =>
  eventRecord({ at, config: { servers }, serviceType: 'Mcp' });

/** One row for each code that a dead letter can have: a new code without one does not compile. */
export const DEAD_LETTER_ROWS: Readonly<Record<EventErrorCode, DeadLetterRow>> = {
  EVENT_NOT_DECODABLE: { cause: raw(() => '{"password":"MARK-a"'), mend: null },
  EVENT_INVALID: { cause: raw(() => json().replace('{', '{"entity":{"password":"MARK-b"},')), mend: null },
  EVENT_TOO_DEEP: { cause: sent({ config: { a: nested(300) } }), mend: null },
  EVENT_TOO_LARGE: { cause: sent({ config: { a: Array<number>(250_000).fill(0) } }), mend: null },
  NUMBER_NOT_EXACT: {
    cause: raw(() => json({ limit: 1 }).replace('"limit":1', '"limit":12345678901234567890')),
    mend: null,
  },
  ENTITY_TYPE_UNSUPPORTED: { cause: raw(() => json({ entityType: 'table' })), mend: null },
  ENTITY_TYPE_CHANGED: {
    cause: sent(
      { password: 'MARK-a', at: 1 },
      { serviceType: 'Mcp', config: { servers: [{ name: 'a', apiKey: 'MARK-b' }] }, at: 2 },
    ),
    mend: null,
  },
  NOT_A_BOT: {
    cause: raw(() =>
      json({
        entityType: 'user',
        entity: { id: CONNECTION, name: 'somebody', isBot: false, password: 'MARK-a' },
      }),
    ),
    mend: null,
  },
  TIMESTAMP_IMPLAUSIBLE: { cause: sent({ password: 'MARK-a', at: 1_000_000_000 }), mend: null },
  ORDER_CONFLICT: {
    cause: sent({ password: 'MARK-a', at: 5, version: 0.2 }, { password: 'MARK-b', at: 4, version: 0.3 }),
    mend: same,
  },
  EVENT_ID_REUSED: {
    cause: sent({ password: 'MARK-a', eventId: 'one', at: 1 }, { password: 'MARK-b', eventId: 'one', at: 2 }),
    mend: same,
  },
  FIELD_NOT_A_STRING: { cause: sent({ password: ['MARK-a', 1] }), mend: null },
  VALUE_IS_THE_WORD_NULL: {
    cause: sent({ password: 'null', config: { sslConfig: { caCertificate: 'MARK-ca' } } }),
    mend: null,
  },
  VALUE_TOO_LONG: {
    options: { limits: { maxValueBytes: 50 } },
    cause: sent({ password: `MARK-${'x'.repeat(100)}` }),
    mend: (bench) => bench.worker({}, undefined, {}),
  },
  VALUE_REFUSED_BY_STORE: {
    options: { limits: { refusedTexts: ['{{'] } },
    cause: sent({ password: 'MARK-{{x}}' }),
    mend: (bench) => bench.worker({}, undefined, {}),
  },
  VALUE_NOT_SEALED: {
    options: { env: { SOURCE_VALUES: 'sealed' } },
    cause: sent({ password: 'MARK-a' }),
    mend: restarted({ SOURCE_VALUES: 'any' }),
  },
  SECRET_QUOTED: {
    options: { env: { SECRET_QUOTED: 'refuse' } },
    cause: raw(() =>
      json().replace('"name":', '"description":"it is MARK-aaaa","name":').replace('"MARK-a"', '"MARK-aaaa"'),
    ),
    mend: restarted({ SECRET_QUOTED: 'mask' }),
  },
  TOKEN_NOT_OPENED: {
    cause: (worker) => worker.handle(eventRecord({ password: sealedByOthers() })),
    mend: restarted(OTHER_PUBLISHER),
  },
  TOKEN_NOT_BOUND: {
    cause: sent({ password: sealText(KeyRing.parse('K', KEYS.PUBLISHER_FERNET_KEY), 'MARK-sealed') }),
    mend: restarted({ PUBLISHER_TOKENS: 'any' }),
  },
  REFERENCE_ALTERED: {
    cause: async (worker) => {
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await worker.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-b', at: 1 }));
      await worker.database.run(({ manager }) =>
        manager.query(
          `UPDATE secret_reference SET sealed = (SELECT sealed FROM secret_reference WHERE connection_id = '${OTHER}') WHERE connection_id = '${CONNECTION}'`,
        ),
      );
      await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    },
    mend: null,
  },
  REFERENCE_NOT_OPENED: {
    cause: async (worker) => {
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      const lost = sealText(KeyRing.parse('K', LOST_KEY), `secret:${PASSWORD_ID}`);
      const { database, context } = worker;
      await database.run(async ({ manager, tables }) => {
        const row = await manager.findOneByOrFail(tables.reference, { connectionId: CONNECTION });
        // Written by a worker that had the key.
        await manager.save(tables.reference, resealedRow(row, lost, context.fingerprintKey));
      });
      await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    },
    mend: restarted({ FERNET_KEY: `${KEYS.FERNET_KEY},${LOST_KEY}` }),
  },
  TOKEN_FOR_ANOTHER_FIELD: {
    cause: sent({ password: sealedFor(KEYS.PUBLISHER_FERNET_KEY, OTHER, 'MARK-sealed') }),
    mend: null,
  },
  SECRET_ID_INVALID: {
    cause: sent({ name: '//', password: 'MARK-a' }),
    mend: null,
  },
  SECRET_ID_AMBIGUOUS: {
    cause: sent({ config: { connectionOptions: { 'api key': 'MARK-a', 'api.key': 'MARK-b' } } }),
    mend: null,
  },
  SECRET_ID_COLLISION: {
    cause: sent({ id: OTHER, name: 'My Svc', password: 'MARK-a' }, { name: 'my_svc', password: 'MARK-b' }),
    mend: async (bench, worker) => {
      const secretId = '/openmetadata/database/my_svc/password';
      await worker.handle(eventRecord({ id: OTHER, name: 'My Svc', password: null, at: 2 }));
      await bench.release(secretId);
      await bench.store.inner.delete(
        [{ reference: `secret:${secretId}`, connectionId: OTHER, isCommitted: true }],
        FREE,
      );
      return worker;
    },
  },
  SECRET_ID_REFERRED: {
    cause: async (worker) => {
      const squatter = { id: OTHER, name: 'squatter' };
      await plantReference(worker, (record) => worker.handle(record), squatter, PASSWORD_ID);
      await worker.handle(eventRecord({ password: 'MARK-a' }));
    },
    mend: async (_, worker) => {
      await worker.handle(eventRecord({ id: OTHER, name: 'squatter', password: null, at: 2 }));
      return worker;
    },
  },
  SECRET_NOT_OWNED: {
    cause: async (worker, bench) => {
      bench.store.inner.placeUnowned(PASSWORD_ID, new SecretValue('MARK-theirs'));
      await worker.handle(eventRecord({ password: 'MARK-a' }));
    },
    mend: restarted({ SECRET_ADOPT: 'true' }),
  },
  ADOPTION_AMBIGUOUS: {
    options: { env: { SECRET_ADOPT: 'true' } },
    cause: sent({ name: 'fin/x', password: 'secret:/openmetadata/database/fin/x/password' }),
    mend: null,
  },
  REFERENCE_INVALID: {
    cause: sent({ password: 'secret:', config: { authType: { password: 'MARK-a' } } }),
    mend: null,
  },
  REFERENCE_FOREIGN: {
    cause: sent(
      { id: OTHER, name: 'other', password: 'MARK-a' },
      { password: 'secret:/openmetadata/database/other/password' },
    ),
    mend: null,
  },
  REFERENCE_NOT_ALLOWED: {
    options: { env: { ALLOWED_REFERENCE_PREFIXES: '/shared/' } },
    cause: sent({ password: 'secret:/team-a/x', config: { authType: { password: 'MARK-a' } } }),
    mend: restarted({ ALLOWED_REFERENCE_PREFIXES: '/shared/,/team-a/' }),
  },
  MASK_WITHOUT_ORIGINAL: {
    cause: async (worker, bench) => {
      await worker.handle(eventRecord({ password: MASKED, at: 2 }));
      await timeIsOver(bench, worker);
    },
    mend: async (_, worker) => {
      await worker.handle(eventRecord({ password: 'MARK-original', at: 1 }));
      return worker;
    },
  },
  MASKED_SECRET_ON_NEW_ENDPOINT: {
    options: { env: { MASKED_SECRET_ON_NEW_ENDPOINT: 'refuse' } },
    cause: sent(
      { password: 'MARK-a', config: { hostPort: 'db.example:3306' }, at: 1 },
      { password: MASKED, config: { hostPort: 'evil.example:3306' }, at: 2 },
    ),
    mend: restarted({ MASKED_SECRET_ON_NEW_ENDPOINT: 'allow' }),
  },
  MASK_POSITION_CHANGED: {
    cause: async (worker) => {
      const both = ['a', 'b'].map((url) => ({ url, apiKey: `MARK-${url}` }));
      await worker.handle(ofServers(1, both));
      await worker.handle(ofServers(2, [{ url: 'b', apiKey: MASKED }]));
    },
    mend: null,
  },
  MASK_NOT_UNDERSTOOD: {
    cause: sent({ config: { authType: { password: '[hidden]' } }, password: 'MARK-a' }),
    mend: null,
  },
  SECRET_BY_NAME_REFUSED: {
    options: { env: { SECRET_BY_NAME: 'refuse' } },
    cause: sent({ config: { connectionOptions: { api_key: 'MARK-a' } } }),
    mend: restarted({ SECRET_BY_NAME: 'externalise' }),
  },
  CONNECTOR_UNKNOWN: {
    options: { env: { UNKNOWN_CONNECTOR: 'refuse' } },
    cause: sent({ serviceType: 'OurOwnDb', password: 'MARK-a' }),
    mend: restarted({ UNKNOWN_CONNECTOR: 'heuristic' }),
  },
  EVENT_BLOCKED: {
    cause: async (worker) => {
      await worker.handle(eventRecord({ password: sealedByOthers(), at: 1 }));
      await worker.handle(eventRecord({ password: MASKED, at: 2 }));
    },
    mend: restarted(OTHER_PUBLISHER),
  },
  OUTPUT_TOO_LARGE: {
    cause: async (worker) => {
      worker.outlet.maxBytes = 2_000;
      await worker.handle(eventRecord({ password: 'MARK-a', config: { note: 'n'.repeat(3_000) } }));
    },
    mend: restarted({}),
  },
  STORE_DENIED: {
    cause: async (worker, bench) => {
      await worker.handle(eventRecord({ id: OTHER, name: 'granted', password: 'MARK-b' }));
      bench.store.arm('access', { secretId: PASSWORD_ID, times: 2 });
      await worker.handle(eventRecord({ password: 'MARK-a' }));
      await timeIsOver(bench, worker);
    },
    mend: same,
  },
  STORE_QUOTA: {
    cause: async (worker, bench) => {
      bench.store.arm('quota', { secretId: PASSWORD_ID, times: 2 });
      await worker.handle(eventRecord({ password: 'MARK-a' }));
      await timeIsOver(bench, worker);
    },
    mend: same,
  },
  EVENT_NOT_STORABLE: {
    cause: async (worker) => {
      await worker.database.transaction(({ manager }) => manager.query(REFUSE_STATES));
      await worker.handle(eventRecord({ password: 'MARK-a' }));
    },
    mend: async (_, worker) => {
      await worker.database.transaction(({ manager }) => manager.query('DROP TRIGGER refuse_states'));
      return worker;
    },
  },
  SECRET_VERSION_GONE: {
    // An event under another manager brings its secrets along; one of them is not where it was.
    cause: async (worker, bench) => {
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await bench.store.inner.delete(
        [{ reference: `secret:${PASSWORD_ID}`, connectionId: CONNECTION, isCommitted: true }],
        FREE,
      );
      await bench.changeManager('local');
      const other = await bench.worker({}, 'local');
      await other.handle(eventRecord({ password: MASKED, at: 2 }));
    },
    mend: null,
  },
};
