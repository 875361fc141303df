import { PutParameterCommand, DeleteParameterCommand } from '@aws-sdk/client-ssm';
import { expect, it } from 'vitest';
import { openMigratedDatabase } from '../../../src/worker/worker.js';
import { loadConfig } from '../../../src/config.js';
import { loadIdentity } from '../../../src/database/settings.js';
import { ERROR_CODES, type EventErrorCode } from '../../../src/errors.js';
import { generateKey, KeyRing, sealText } from '../../../src/fernet/index.js';
import { LIMITS } from '../../../src/limits.js';
import { referenceRow, resealedRow } from '../../../src/pipeline/references.js';
import { createWorld, serviceEvent, startWorker, type World } from '../../e2e/fixture.js';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  jsonOf,
  produce,
  queryDatabase,
  readAll,
  sealedFor,
  waitFor,
  type TestProcess,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { PATIENCE_MS } from '../outages/rig.js';

const MASKED = '*********';
const PUBLISHER = generateKey();
const OTHER_PUBLISHER = generateKey();
/** The broker's default for one batch. */
const BATCH_BYTES = 1_048_588;

type Event = ReturnType<typeof serviceEvent>;
type Config = Readonly<Record<string, unknown>>;

/** How one record comes to be refused, or kept until later. */
interface Case {
  /** What is there before: applied while nothing is wrong yet. */
  readonly before?: readonly Event[];
  readonly record: Event | string;
  /** With the settings of the second worker. */
  readonly later?: true;
}

const idOf = (code: string): string => `of-${code.toLowerCase().replaceAll('_', '-')}`;
/** Its name in the store is told by its id. */
const nameOf = (code: string): string => `svc-${idOf(code)}`;
const secretIdOf = (code: string): string => `/openmetadata/database/${nameOf(code)}/password`;

/** An event of the connection of a code; `at`: seconds. */
function eventOf(
  code: string,
  {
    at = 1,
    password = 'a-password',
    config = {},
  }: { at?: number; password?: string | null; config?: Config } = {},
): Event {
  const event = serviceEvent({
    id: idOf(code),
    name: nameOf(code),
    password,
    timestampMs: 1_790_000_000_000 + at * 1_000,
  });
  Object.assign(event.entity.connection.config, config);
  return event;
}

const changed = (event: Event, more: Config): Event => ({ ...event, ...more });
const named = (event: Event, name: string): Event => ({ ...event, entity: { ...event.entity, name } });
const replaced = (event: Event, from: string, to: string): string => JSON.stringify(event).replace(from, to);

function nested(levels: number): unknown {
  return Array.from({ length: levels }).reduce<unknown>((inner) => ({ a: inner }), 'x');
}

const mcp = (at: number, servers: readonly Config[]): Event => {
  const event = eventOf('MASK_POSITION_CHANGED', { at, config: { type: 'Mcp', servers } });
  return changed(event, { entityType: 'mcpService', entity: { ...event.entity, serviceType: 'Mcp' } });
};

function ofSize(event: Event, bytes: number): Event {
  const given = { ...event, entity: { ...event.entity, description: '' } };
  given.entity.description = 'd'.repeat(bytes - JSON.stringify(given).length);
  return given;
}

/** One for each code that an event can be refused or kept for: a new code without one does not compile. */
const CASES: Readonly<Record<EventErrorCode, Case>> = {
  EVENT_NOT_DECODABLE: { record: '{"password":"x"' },
  EVENT_INVALID: { record: replaced(eventOf('EVENT_INVALID'), '{', '{"entity":{},') },
  EVENT_TOO_DEEP: { record: eventOf('EVENT_TOO_DEEP', { config: { a: nested(300) } }) },
  EVENT_TOO_LARGE: {
    record: eventOf('EVENT_TOO_LARGE', { config: { a: Array<number>(LIMITS.jsonValues + 1).fill(0) } }),
  },
  NUMBER_NOT_EXACT: {
    record: replaced(
      eventOf('NUMBER_NOT_EXACT', { config: { port: 1 } }),
      '"port":1',
      '"port":12345678901234567890',
    ),
  },
  ENTITY_TYPE_UNSUPPORTED: { record: changed(eventOf('ENTITY_TYPE_UNSUPPORTED'), { entityType: 'table' }) },
  ENTITY_TYPE_CHANGED: {
    before: [eventOf('ENTITY_TYPE_CHANGED')],
    record: changed(eventOf('ENTITY_TYPE_CHANGED', { at: 2 }), { entityType: 'messagingService' }),
  },
  NOT_A_BOT: {
    record: changed(eventOf('NOT_A_BOT'), {
      entityType: 'user',
      entity: { id: idOf('NOT_A_BOT'), name: 'somebody', isBot: false },
    }),
  },
  TIMESTAMP_IMPLAUSIBLE: { record: changed(eventOf('TIMESTAMP_IMPLAUSIBLE'), { timestamp: 1_790_000_000 }) },
  ORDER_CONFLICT: {
    before: [eventOf('ORDER_CONFLICT', { at: 5 })],
    record: replaced(
      eventOf('ORDER_CONFLICT', { at: 4, password: 'another' }),
      '"version":0.1',
      '"version":0.3',
    ),
  },
  EVENT_ID_REUSED: {
    before: [changed(eventOf('EVENT_ID_REUSED'), { id: 'one-id' })],
    record: changed(eventOf('EVENT_ID_REUSED', { at: 2, password: 'another' }), { id: 'one-id' }),
  },
  FIELD_NOT_A_STRING: { record: eventOf('FIELD_NOT_A_STRING', { config: { password: [1] } }) },
  VALUE_IS_THE_WORD_NULL: { record: eventOf('VALUE_IS_THE_WORD_NULL', { password: 'null' }) },
  VALUE_TOO_LONG: { record: eventOf('VALUE_TOO_LONG', { password: 'x'.repeat(10_000) }) },
  VALUE_REFUSED_BY_STORE: { record: eventOf('VALUE_REFUSED_BY_STORE', { password: 'a{{x}}' }) },
  VALUE_NOT_SEALED: { record: eventOf('VALUE_NOT_SEALED'), later: true },
  SECRET_QUOTED: {
    record: replaced(eventOf('SECRET_QUOTED'), '"name":', '"description":"it is a-password","name":'),
  },
  TOKEN_NOT_OPENED: {
    record: eventOf('TOKEN_NOT_OPENED', {
      password: sealedFor(OTHER_PUBLISHER, idOf('TOKEN_NOT_OPENED'), 'x'),
    }),
  },
  TOKEN_NOT_BOUND: {
    record: eventOf('TOKEN_NOT_BOUND', { password: sealText(KeyRing.parse('K', PUBLISHER), 'x') }),
  },
  REFERENCE_NOT_OPENED: {
    before: [eventOf('REFERENCE_NOT_OPENED')],
    record: eventOf('REFERENCE_NOT_OPENED', { at: 2, password: MASKED }),
  },
  REFERENCE_ALTERED: {
    before: [eventOf('REFERENCE_ALTERED')],
    record: eventOf('REFERENCE_ALTERED', { at: 2, password: MASKED }),
  },
  TOKEN_FOR_ANOTHER_FIELD: {
    record: eventOf('TOKEN_FOR_ANOTHER_FIELD', { password: sealedFor(PUBLISHER, 'another', 'x') }),
  },
  SECRET_ID_INVALID: { record: named(eventOf('SECRET_ID_INVALID'), '//') },
  SECRET_ID_AMBIGUOUS: {
    record: eventOf('SECRET_ID_AMBIGUOUS', {
      password: null,
      config: {
        connectionOptions: Object.fromEntries(
          ['api key', 'api.key'].map((key) => [
            key,
            sealedFor(
              PUBLISHER,
              idOf('SECRET_ID_AMBIGUOUS'),
              'x',
              `/connection/config/connectionOptions/${key}`,
            ),
          ]),
        ),
      },
    }),
  },
  SECRET_ID_COLLISION: {
    before: [named(eventOf('holder'), 'the name')],
    record: named(eventOf('SECRET_ID_COLLISION'), 'the_name'),
  },
  SECRET_ID_REFERRED: {
    before: [eventOf('squatter', { password: 'secret:/shared/x' })],
    record: eventOf('SECRET_ID_REFERRED'),
  },
  SECRET_NOT_OWNED: { record: eventOf('SECRET_NOT_OWNED') },
  ADOPTION_AMBIGUOUS: {
    record: named(
      eventOf('ADOPTION_AMBIGUOUS', { password: 'secret:/openmetadata/database/fin/x/password' }),
      'fin/x',
    ),
    later: true,
  },
  REFERENCE_INVALID: { record: eventOf('REFERENCE_INVALID', { password: 'secret:' }) },
  REFERENCE_FOREIGN: {
    before: [eventOf('lender')],
    record: eventOf('REFERENCE_FOREIGN', { password: `secret:${secretIdOf('lender')}` }),
    later: true,
  },
  REFERENCE_NOT_ALLOWED: { record: eventOf('REFERENCE_NOT_ALLOWED', { password: 'secret:/team-a/x' }) },
  MASK_WITHOUT_ORIGINAL: { record: eventOf('MASK_WITHOUT_ORIGINAL', { password: MASKED }) },
  MASKED_SECRET_ON_NEW_ENDPOINT: {
    before: [eventOf('MASKED_SECRET_ON_NEW_ENDPOINT')],
    record: eventOf('MASKED_SECRET_ON_NEW_ENDPOINT', {
      at: 2,
      password: MASKED,
      config: { hostPort: 'evil.example:3306' },
    }),
  },
  MASK_POSITION_CHANGED: {
    before: [
      mcp(
        1,
        ['a', 'b'].map((title) => ({ title, apiKey: `key-${title}` })),
      ),
    ],
    record: mcp(2, [{ title: 'b', apiKey: MASKED }]),
  },
  MASK_NOT_UNDERSTOOD: { record: eventOf('MASK_NOT_UNDERSTOOD', { password: '[hidden]' }) },
  SECRET_BY_NAME_REFUSED: {
    record: eventOf('SECRET_BY_NAME_REFUSED', { config: { connectionOptions: { api_key: 'x' } } }),
    later: true,
  },
  CONNECTOR_UNKNOWN: {
    record: replaced(eventOf('CONNECTOR_UNKNOWN'), '"serviceType":"Mysql"', '"serviceType":"OurOwn"'),
  },
  EVENT_BLOCKED: {
    before: [eventOf('EVENT_BLOCKED', { password: sealedFor(OTHER_PUBLISHER, idOf('EVENT_BLOCKED'), 'x') })],
    record: eventOf('EVENT_BLOCKED', { at: 2, password: MASKED }),
  },
  OUTPUT_TOO_LARGE: { record: ofSize(eventOf('OUTPUT_TOO_LARGE'), BATCH_BYTES - 200) },
  STORE_DENIED: { record: eventOf('STORE_DENIED') },
  STORE_QUOTA: { record: eventOf('STORE_QUOTA') },
  EVENT_NOT_STORABLE: { record: eventOf('EVENT_NOT_STORABLE') },
  SECRET_VERSION_GONE: {
    before: [eventOf('SECRET_VERSION_GONE')],
    record: named(eventOf('SECRET_VERSION_GONE', { at: 2, password: MASKED }), 'renamed'),
  },
};

const ALL = Object.entries(CASES) as [EventErrorCode, Case][];

it('has a case for every code that an event can be refused or kept for', () => {
  const ofEvents = Object.entries(ERROR_CODES).flatMap(([code, { kind }]) =>
    kind === 'event' ? [code] : [],
  );
  expect(Object.keys(CASES).sort()).toEqual(ofEvents.sort());
});

/** As a database does that does not take the state of one connection, whatever its reason. */
const REFUSE_ONE = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '54000'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON connection FOR EACH ROW
WHEN (NEW.revision > 0 AND NEW.id = '${idOf('EVENT_NOT_STORABLE')}') EXECUTE FUNCTION refuse()`;

/** Rows that a worker has written when it had another key, and one that takes a name that is not its own. */
async function plantRows({ env }: World): Promise<void> {
  const config = loadConfig(env, { need: ['keys'] });
  const database = await openMigratedDatabase(config);
  try {
    const identity = await loadIdentity(database, config.keys, config.secretsManager.name);
    const { fingerprintKey } = identity;
    await database.run(async ({ manager, tables }) => {
      const rowOf = (code: string) => manager.findOneByOrFail(tables.reference, { connectionId: idOf(code) });
      const lost = sealText(KeyRing.parse('K', generateKey()), 'secret:/x');
      await manager.save(
        tables.reference,
        resealedRow(await rowOf('REFERENCE_NOT_OPENED'), lost, fingerprintKey),
      );
      const content = {
        holds: 'reference',
        secretId: secretIdOf('SECRET_ID_REFERRED'),
        owned: false,
        fingerprint: null,
      } as const;
      const context = { rings: config.keys, fingerprintKey };
      await manager.save(tables.reference, referenceRow({ ...(await rowOf('squatter')), content }, context));
      await manager.query(
        `UPDATE secret_reference SET sealed = (SELECT sealed FROM secret_reference WHERE connection_id = '${idOf('lender')}') WHERE connection_id = '${idOf('REFERENCE_ALTERED')}'`,
      );
    });
  } finally {
    await database.close();
  }
}

describeWith(['kafka', 'postgres'], 'a worker that is killed and started again', ({ kafka }) => {
  it('makes progress behind every record that is refused or kept', { timeout: 240_000 }, async () => {
    const standin = await startAwsStandin();
    disposeLater(() => standin.close());
    const { env: aws, ssm } = awsClients(standin.url);
    const { url } = await createDatabase('postgres');
    const world = await createWorld({
      ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws-ssm', partitions: 1 },
      env: {
        ...aws,
        ...{ PUBLISHER_FERNET_KEY: PUBLISHER, SECRET_MANAGER_WRITES_PER_SECOND: '1000', CLAIM_MS: '4000' },
        ...{ STORE_TIMEOUT_MS: '1000', SECRET_QUOTED: 'refuse', MASKED_SECRET_ON_NEW_ENDPOINT: 'refuse' },
        ...{ UNKNOWN_CONNECTOR: 'refuse', ALLOWED_REFERENCE_PREFIXES: '/shared/' },
      },
    });
    const later = {
      ...{ SOURCE_VALUES: 'sealed', SECRET_BY_NAME: 'refuse', SECRET_ADOPT: 'true' },
      ALLOWED_REFERENCE_PREFIXES: '',
    };
    const send = async (events: readonly (readonly [string, Event | string])[]): Promise<void> => {
      for (const [key, event] of events) {
        const value = typeof event === 'string' ? event : JSON.stringify(event);
        await produce(world.topics.updated, [{ key, value }], { brokers: kafka });
      }
    };
    const secured = async (): Promise<Set<unknown>> =>
      new Set(
        (await readAll(world.topics.secured, { brokers: kafka })).map(
          (record) => (jsonOf(record) as { data: { connectionId: unknown } }).data.connectionId,
        ),
      );
    const until = (ids: readonly string[], worker: TestProcess): Promise<unknown> =>
      waitFor(
        async () => {
          const done = await secured();
          expect(ids.filter((id) => !done.has(id))).toEqual([]);
          return true;
        },
        {
          what: `what is behind, ${worker.running ? '' : worker.stdout().slice(-2_000)}`,
          timeoutMs: PATIENCE_MS,
        },
      );
    const good = (code: string): readonly [string, Event] => {
      const id = `behind-${idOf(code)}`;
      const password = sealedFor(PUBLISHER, id, 'good');
      const event = serviceEvent({ id, name: `svc-${id}`, password, timestampMs: 1_790_000_000_000 });
      return [id, event];
    };
    const behind = (cases: typeof ALL): string[] => cases.map(([code]) => good(code)[0]);
    const bad = (cases: typeof ALL) =>
      cases.flatMap(([code, { record }]) => [[idOf(code), record] as const, good(code)]);
    const killed = async (worker: TestProcess): Promise<void> => {
      worker.kill();
      await worker.waitForExit();
    };
    const kept = async (): Promise<string[]> =>
      (await queryDatabase({ url }, 'SELECT DISTINCT code FROM dead_letter')).map(({ code }) => String(code));

    let worker = startWorker(world);
    const before = ALL.flatMap(([, { before: events = [] }]) => events);
    await send([...before.map((event) => [event.entityId, event] as const), good('NOTHING')]);
    await until([good('NOTHING')[0]], worker);
    await killed(worker);

    await plantRows(world);
    await queryDatabase({ url }, REFUSE_ONE);
    await ssm.send(
      new PutParameterCommand({ Name: secretIdOf('SECRET_NOT_OWNED'), Value: 'theirs', Type: 'String' }),
    );
    await ssm.send(new DeleteParameterCommand({ Name: secretIdOf('SECRET_VERSION_GONE') }));
    standin.fault({ kind: 'deny', secretId: secretIdOf('STORE_DENIED') });
    standin.fault({ kind: 'error', name: 'ParameterLimitExceeded', secretId: secretIdOf('STORE_QUOTA') });

    const [first, second] = [ALL.filter(([, one]) => one.later !== true), ALL.filter(([, one]) => one.later)];
    await send(bad(first));
    const known = (await kept()).length;
    worker = startWorker(world);
    await waitFor(async () => (await kept()).length > known, { what: 'a refusal', timeoutMs: PATIENCE_MS });
    await killed(worker);
    worker = startWorker(world);
    await until(behind(first), worker);
    expect((await kept()).sort()).toEqual(first.map(([code]) => code).sort());
    await killed(worker);

    await send(bad(second));
    worker = startWorker(world, later);
    await until(behind(second), worker);
    expect((await kept()).sort()).toEqual(Object.keys(CASES).sort());
    await killed(worker);
  });
});
