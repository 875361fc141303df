import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { describe, expect, it, onTestFinished } from 'vitest';
import { brokerUnavailable, fatalError, withoutText } from '../../../src/kafka/errors.js';
import { FernetError, KeyRing, openSealed, sealText } from '../../../src/fernet/index.js';
import { loadConfig } from '../../../src/config.js';
import { SETTING_NAMES } from '../../../src/config/settings.js';
import { parseJson } from '../../../src/events/json.js';
import { awsClientConfig } from '../../../src/secrets-managers/aws-client/client-config.js';
import { awsCredentials } from '../../../src/secrets-managers/aws-client/credentials.js';
import { awsRequester } from '../../../src/secrets-managers/aws-client/requester.js';
import { hasNothing } from '../../../src/secrets-managers/requester.js';
import { SecretValue } from '../../../src/secret-value.js';
import { startAwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { CANARY, findCanary } from '../../harness/canary.js';
import { createDatabase, describeWith, disposeLater } from '../../harness/index.js';
import { runHere } from '../../components/operations/verify-worlds.js';
import { KafkaOutlet } from '../../../producers/outlet.js';
import { describeEngines, openDatabase } from '../database/support.js';
import { createLogger } from '../../../src/observability/index.js';
import { kafkaSettings } from '../kafka/support.js';
import { startAnswering } from './answering.js';
import { everythingOf, expectQuiet, expectQuoted, thrownBy } from './shown.js';

/** A text that looks like a stack behind its first line. */
const SLY = `${CANARY}\n    at ${CANARY} (/app/${CANARY}.js:1:1)\n    at ${CANARY}`;
const KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';

function quoting(message: string): Error {
  const cause = new Error(message);
  return Object.assign(new RangeError(message, { cause }), { body: message, originalError: cause });
}

describe('what AWS answers goes no further than its name', () => {
  const settings = (endpointUrl: string) => ({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'testing', secretAccessKey: new SecretValue('testing') },
    endpointUrl,
    requestTimeoutMs: 2_000,
  });

  async function failureAt(url: string): Promise<{ original: unknown; answer: unknown }> {
    const ours = settings(url);
    const client = new SecretsManagerClient(awsClientConfig(ours, awsCredentials(ours)));
    disposeLater(() => {
      client.destroy();
    });
    let original: unknown;
    const requester = awsRequester('aws-secrets-manager', 2_000, {});
    const call = { signal: new AbortController().signal, admitWrite: () => Promise.resolve() };
    const answer = await requester.write(
      'CreateSecret',
      call,
      async (options) => {
        try {
          return await client.send(new CreateSecretCommand({ Name: 'x', SecretString: CANARY }), options);
        } catch (error) {
          original = error;
          throw error;
        }
      },
      hasNothing,
    );
    expect(answer).toMatchObject({ ok: false });
    return { original, answer };
  }

  const quoted = JSON.stringify({
    __type: 'ValidationException',
    message: `Value '${CANARY}' at 'secretString' failed`,
  });
  it.each([
    ['a refusal', 400, quoted],
    ['an error of the server', 500, quoted],
    ['a page of a proxy', 502, `<html>${CANARY}</html>`],
    ['an answer that is no JSON', 200, `{"Name": ${CANARY}`],
  ])('%s', async (_title, status, body) => {
    const { original, answer } = await failureAt(await startAnswering(status, body));
    if (body === quoted) expectQuoted(original);
    expectQuiet(answer);
  });

  it.each<[string, Fault]>([
    ['a cut connection', { kind: 'drop' }],
    ['no answer', { kind: 'hang' }],
  ])('%s', async (_title, fault) => {
    const standin = await startAwsStandin();
    onTestFinished(() => standin.close());
    standin.fault(fault);
    expectQuiet((await failureAt(standin.url)).answer);
  });
});

describeEngines('what a driver says goes no further than its code', (engine) => {
  const statements = {
    sqlite: [
      'INSERT INTO setting (name, value) VALUES (?, NULL)',
      'SELECT json_extract(?, ?)',
      `SELECT * FROM nowhere WHERE x = ?`,
    ],
    postgres: [
      'SELECT $1::int',
      `SELECT convert_from($1::text::bytea, 'UTF8') || chr(0)`,
      `CREATE TEMP TABLE t AS SELECT $1::text AS x; `,
      'SELECT * FROM nowhere WHERE x = $1',
    ],
    mariadb: ['SELECT CONVERT(? USING utf8mb4) COLLATE nowhere', 'SELECT * FROM nowhere WHERE x = ?'],
  };

  it('a broken constraint, a wrong type, a statement refused', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    const table = `CREATE TABLE canary_row (x VARCHAR(${engine === 'sqlite' ? 3 : 60}) PRIMARY KEY, n INTEGER CHECK (n < 5))`;
    await database.run(({ manager }) => manager.query(table));
    const at = engine === 'postgres' ? ['$1', '$2'] : ['?', '?'];
    const insert = `INSERT INTO canary_row (x, n) VALUES (${at.join(', ')})`;
    await database.run(({ manager }) => manager.query(insert, [CANARY, 1]));
    const refused: readonly [string, readonly unknown[]][] = [
      [insert, [CANARY, 1]],
      [insert, [`${CANARY} too`, 7]],
      [insert, [CANARY.repeat(9), 'x'.repeat(3)]],
      [insert, ['x', CANARY]],
      [insert, [`${CANARY}\0\uD800`, CANARY]],
      ...statements[engine].map((sql): [string, readonly unknown[]] => [
        sql,
        [CANARY, CANARY].slice(0, sql.split(/\?|\$\d/).length - 1),
      ]),
    ];
    let failures = 0;
    for (const [sql, parameters] of refused) {
      const given = [...parameters];
      const original: unknown = await database.dataSource.manager
        .query(sql, given)
        .catch((error: unknown) => error);
      if (!(original instanceof Error)) continue;
      failures += 1;
      expectQuoted(original);
      expectQuiet(await thrownBy(() => database.run(({ manager }) => manager.query(sql, given))));
      expectQuiet(await thrownBy(() => database.transaction(({ manager }) => manager.query(sql, given))));
    }
    expect(failures).toBeGreaterThanOrEqual(4);
  });

  it('the opening of a database, password included', async () => {
    if (engine === 'sqlite') return;
    const { url } = await createDatabase(engine);
    const wrong = new URL(url);
    wrong.password = CANARY;
    wrong.username = 'nobody';
    expectQuiet(await thrownBy(() => openDatabase(wrong.href)));
  });
});

describe('an error that came through kafkajs', () => {
  it('keeps its class and the places in the code, whatever its text looks like', () => {
    const stranger = quoting(SLY);
    expectQuoted(stranger);
    for (const error of [
      withoutText(stranger),
      withoutText(Object.assign(quoting(SLY), { name: CANARY })),
      withoutText(SLY),
      fatalError(stranger),
      brokerUnavailable('sending', stranger),
    ])
      expectQuiet(error);
    expect(withoutText(stranger).stack).toContain('errors.test.ts');
  });
});

describeWith(['kafka'], 'a record that cannot be sent', ({ kafka }) => {
  it.each([
    ['to a topic that is not there', kafka],
    ['to a broker that is not there', '127.0.0.1:9'],
  ])('%s', async (_title, brokers) => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'trace', stream: { write: (line) => void lines.push(line) } });
    const outlet = new KafkaOutlet({
      settings: kafkaSettings(brokers, { requestTimeoutMs: 3_000 }),
      topics: { secured: 'no-such-topic-here', deadLetter: 'no-such-topic-here' },
      logger,
    });
    onTestFinished(() => outlet.close(500));
    const value = Buffer.from(CANARY);
    const record = { stream: 'secured', key: CANARY, value, headers: { code: CANARY } } as const;
    const error = await thrownBy(() => outlet.send([record]));
    expectQuiet(error);
    expect(lines.length).toBeGreaterThan(0);
    expect(findCanary(lines.join(''))).toEqual([]);
  });
});

describe('what a parser says', () => {
  // V8 quotes the text where it is short, else ten characters around the place.
  const SHORT = 'zq7Canry';
  it.each([`{"a": ${SHORT}}`, SHORT])('of JSON: %j', async (text) => {
    expectQuoted(await thrownBy(() => JSON.parse(text)), SHORT);
    expectQuiet(await thrownBy(() => parseJson(text)), SHORT);
    expectQuiet(await thrownBy(() => parseJson(Buffer.from(text))), SHORT);
  });

  it('of a token', async () => {
    const ring = KeyRing.parse('FERNET_KEY', KEY);
    const other = KeyRing.parse('FERNET_KEY', 'q9b2Xw7rT4uYz1aS6dF3gH8jK5lP0oI7nM2vC4xB1eQ=');
    for (const token of [
      CANARY,
      Buffer.from(CANARY.repeat(5)).toString('base64url'),
      sealText(other, CANARY),
    ]) {
      const error = await thrownBy(() =>
        openSealed(ring, token.startsWith('fernet:') ? token : `fernet:${token}`),
      );
      expect(error).toBeInstanceOf(FernetError);
      expectQuiet(error);
    }
    const lone = await thrownBy(() => sealText(ring, `${CANARY}\uD800`));
    expectQuiet(lone);
    expectQuiet(await thrownBy(() => KeyRing.parse('FERNET_KEY', CANARY)));
  });
});

describe('a setting that is wrong', () => {
  it.each(SETTING_NAMES)('%s', (name) => {
    const texts = [
      CANARY,
      `postgres://u:${CANARY}@`,
      `{"a": ${CANARY}}`,
      `[${CANARY}`,
      `a=${CANARY};,${CANARY}=`,
      `https://u:${CANARY}@[`,
    ];
    for (const text of texts) {
      try {
        // What some settings take is shown by nothing: the objects' own test looks at that.
        loadConfig({ FERNET_KEY: KEY, KAFKA_BROKERS: 'x:9092', [name]: text });
      } catch (error) {
        expectQuiet(error);
      }
    }
  });
});

describe('a command line with a value in the wrong place', () => {
  it.each([
    [['start', `--password=${CANARY}`]],
    [['start', `--x=a'${CANARY}`]],
    [['start', `-p${CANARY}`]],
    [['start', `--${CANARY}`]],
    [['start', `--${CANARY}`, '--json']],
    [['start', CANARY]],
    [[CANARY]],
    [['dead-letters', CANARY, '--json']],
    [['dead-letters', 'list', '--limit', CANARY]],
    [['dead-letters', 'list', '--code', CANARY, '--json']],
    [['audit', 'list', '--since', `${CANARY}' is invalid`]],
    [['start', `--x'\n(Did you mean ${CANARY}?)`]],
  ])('%j', async (args) => {
    const { code, stdout, stderr } = await runHere(args, {});
    expect(code).toBe(2);
    expect(stderr).toContain('USAGE_INVALID');
    expect(findCanary(stdout + stderr), stderr).toEqual([]);
  });

  it('still says which flag or what is meant', async () => {
    expect((await runHere(['start', '-phunter2'], {})).stderr).toContain("unknown option '-p…'");
    expect((await runHere(['start', '--password=x'], {})).stderr).toContain("unknown option '--password…'");
    expect((await runHere(['strat'], {})).stderr).toContain('unknown command (Did you mean start?)');
    const limit = await runHere(['dead-letters', 'list', '--limit', 'x'], {});
    expect(limit.stderr).toContain("option '--limit <number>': its argument is invalid. A whole number");
  });
});

it('what is shown of an error is looked at as a whole', () => {
  expect(findCanary(everythingOf({ error: CANARY }))).not.toEqual([]);
});
