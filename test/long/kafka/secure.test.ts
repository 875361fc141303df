import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.js';
import { KafkaOutlet } from '../../../producers/outlet.js';
import { createTopics } from '../../../src/kafka/topics.js';
import { ping } from '../../../src/kafka/admin.js';
import type { KafkaSettings } from '../../../src/kafka/settings.js';
import { SecretValue } from '../../../src/secret-value.js';
import { kafkaSettings } from '../../../src/kafka/settings-from-config.js';
import { describeWithOwn, disposeLater, freshName, tmpDir, waitFor } from '../../harness/index.js';
import {
  startSecureKafka,
  TOKEN_SESSION_MS,
  unsignedToken,
  type SecureKafka,
} from '../../harness/parts/secure-kafka.js';
import { FakeHandler, startConsumer } from '../../integration/kafka/support.js';

type Environment = Readonly<Record<string, string>>;

/** As the program comes to its settings. */
function settingsFrom(env: Environment): KafkaSettings {
  return kafkaSettings(loadConfig({ ...env, KAFKA_GROUP_ID: freshName('group') }, { need: ['kafka'] }));
}

interface Log {
  readonly logger: Logger;
  readonly lines: string[];
}

function keptLog(): Log {
  const lines: string[] = [];
  return { lines, logger: pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) }) };
}

/** Every form in which a secret could stand in a line: as it is, as JSON has it, in base64. */
function formsOf(secret: string): string[] {
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), base64.slice(0, -1)];
}

function expectNowhere(secrets: readonly string[], texts: readonly string[]): void {
  for (const form of secrets.flatMap(formsOf)) {
    expect(texts.filter((text) => text.includes(form))).toEqual([]);
  }
}

function namesOf(suffix: string): Parameters<typeof createTopics>[1]['names'] {
  const [created, updated, deleted] = [`created-${suffix}`, `updated-${suffix}`, `deleted-${suffix}`];
  return { created, updated, deleted, secured: `secured-${suffix}`, deadLetter: `dead-${suffix}` };
}

function outletTo(settings: KafkaSettings, names: ReturnType<typeof namesOf>, logger: Logger): KafkaOutlet {
  const outlet = new KafkaOutlet({
    settings,
    topics: names,
    logger,
  });
  disposeLater(() => outlet.close(1_000));
  return outlet;
}

const record = (value: string): Parameters<KafkaOutlet['send']>[0][number] => ({
  stream: 'secured',
  key: 'k',
  value: Buffer.from(value),
  headers: {},
});

/** All that the program does with a broker: topics, readiness, sending, consuming. */
async function expectWork(env: Environment): Promise<Log> {
  const log = keptLog();
  const settings = settingsFrom(env);
  const names = namesOf(freshName('works'));
  const created = await createTopics(settings, { names, partitions: 1 }, log.logger);
  expect(created.map(({ outcome }) => outcome)).toEqual(Array(5).fill('created'));
  await ping(settings, { logger: log.logger, deadlineMs: 5_000 });
  const outlet = outletTo(settings, names, log.logger);
  await outlet.send([record('sent')]);
  const handler = new FakeHandler();
  const { fatal } = startConsumer(settings, [names.secured], handler, { logger: log.logger });
  await waitFor(() => handler.done.length > 0, { what: 'the record' });
  expect(handler.texts()).toEqual(['sent']);
  expect(fatal).toEqual([]);
  return log;
}

const DEADLINE_MS = 5_000;
/** Stands in what the token endpoint answers where it refuses. */
const LEAK = 'quoted-by-the-endpoint';

/** An endpoint of RFC 6749, section 4.4, over HTTP. */
async function startTokenEndpoint(known: {
  clientId: string;
  clientSecret: string;
  token: string;
}): Promise<string> {
  const credentials = [known.clientId, known.clientSecret].map(encodeURIComponent).join(':');
  const expected = `Basic ${Buffer.from(credentials).toString('base64')}`;
  const server = createServer((request, response) => {
    const granted = request.headers.authorization === expected;
    response.writeHead(granted ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(granted ? { access_token: known.token } : { error: LEAK }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  disposeLater(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
}

/**
 * `cause` allows for the names that versions of Java and OpenSSL have. Each call fails in time and says why; the consumer says so in the log and goes on trying.
 */
async function expectRefusal(env: Environment, cause: RegExp, secrets: readonly string[]): Promise<void> {
  const log = keptLog();
  const settings = settingsFrom(env);
  const names = namesOf(freshName('refused'));
  const calls: Record<string, () => Promise<unknown>> = {
    'connecting to the broker': () => ping(settings, { logger: log.logger, deadlineMs: DEADLINE_MS }),
    'creating topics': () => createTopics(settings, { names }, log.logger),
    sending: () => outletTo(settings, names, log.logger).send([record('never')]),
  };
  const texts: string[] = [];
  for (const [call, make] of Object.entries(calls)) {
    const begin = performance.now();
    const error: unknown = await make().then(
      () => null,
      (reason: unknown) => reason,
    );
    // A refused login is told from a connection that did not come about.
    const code = /SASL_?AUTH/i.test(cause.source) ? 'BROKER_ACCESS' : 'BROKER_UNAVAILABLE';
    expect(error, call).toMatchObject({ code });
    expect((error as Error).message.replace(`${call} failed: `, ''), call).toMatch(cause);
    expect(performance.now() - begin, call).toBeLessThan(DEADLINE_MS);
    texts.push(String((error as Error).stack));
  }
  const { consumer, fatal } = startConsumer(settings, [names.created], new FakeHandler(), {
    logger: log.logger,
  });
  await waitFor(() => log.lines.some((line) => line.includes('waiting for the broker')), {
    what: 'the consumer’s complaint',
  });
  const complaint = log.lines.find((line) => line.includes('waiting for the broker')) ?? '';
  expect(JSON.parse(complaint)).toMatchObject({ error: expect.stringMatching(cause) as string });
  expect(consumer.state().joined).toBe(false);
  expect(fatal).toEqual([]);
  expectNowhere(secrets, [...log.lines, ...texts]);
}

describeWithOwn(['kafka'], 'a broker that wants TLS and a login', () => {
  let kafka: SecureKafka;
  beforeAll(async () => {
    kafka = await startSecureKafka();
  });

  const tls = (brokers: string, caFile = kafka.caFile): Environment => ({
    KAFKA_BROKERS: brokers,
    KAFKA_SSL: 'true',
    KAFKA_SSL_CA_FILE: caFile,
  });
  const certificate = ({ certFile, keyFile }: SecureKafka['client']): Environment => ({
    KAFKA_SSL_CERT_FILE: certFile,
    KAFKA_SSL_KEY_FILE: keyFile,
  });
  const password = (mechanism: string, changes: Environment = {}): Environment => ({
    ...tls(kafka.login),
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: mechanism === 'plain' ? kafka.users.plain : kafka.users.scram,
    KAFKA_SASL_PASSWORD: kafka.users.password,
    ...changes,
  });
  const oauth = (changes: Environment): Environment => ({
    ...tls(kafka.login),
    KAFKA_SASL_MECHANISM: 'oauthbearer',
    ...changes,
  });

  it('takes our certificate', async () => {
    await expectWork({ ...tls(kafka.mutualTls), ...certificate(kafka.client) });
  });

  it('refuses us without a certificate', async () => {
    await expectRefusal(
      tls(kafka.mutualTls),
      /^ERR_SSL_\S+_ALERT_(BAD_CERTIFICATE|CERTIFICATE_REQUIRED)$/,
      [],
    );
  });

  it('refuses a stranger’s certificate', async () => {
    const env = { ...tls(kafka.mutualTls), ...certificate(kafka.stranger) };
    await expectRefusal(env, /^ERR_SSL_\S+_ALERT_(CERTIFICATE_UNKNOWN|UNKNOWN_CA)$/, []);
  });

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])('takes our password by %s', async (mechanism) => {
    const { lines } = await expectWork(password(mechanism));
    expectNowhere([kafka.users.password], lines);
  });

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    'refuses a wrong password by %s',
    async (mechanism) => {
      const wrong = `${kafka.users.password}!`;
      const env = password(mechanism, { KAFKA_SASL_PASSWORD: wrong });
      await expectRefusal(env, /^KafkaJSSASLAuthenticationError$/, [kafka.users.password, wrong]);
    },
  );

  it('is refused itself where its authority is unknown to us', async () => {
    const env = password('plain', { KAFKA_SSL_CA_FILE: kafka.otherCaFile });
    await expectRefusal(env, /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/, [kafka.users.password]);
  });

  it('is refused itself where its certificate is for another host', async () => {
    const env = password('plain', { KAFKA_BROKERS: kafka.login.replace('127.0.0.1', 'localhost') });
    await expectRefusal(env, /^ERR_TLS_CERT_ALTNAME_INVALID$/, [kafka.users.password]);
  });

  it('takes a token from a setting', async () => {
    const token = unsignedToken('worker', 600);
    const { lines } = await expectWork(oauth({ KAFKA_SASL_OAUTHBEARER_TOKEN: token }));
    expectNowhere([token], lines);
  });

  it('refuses a token that has run out', async () => {
    const token = unsignedToken('worker', -30);
    const env = oauth({ KAFKA_SASL_OAUTHBEARER_TOKEN: token });
    await expectRefusal(env, /^SASL_AUTHENTICATION_FAILED$/, [token]);
  });

  it('takes the newest token of a file', async () => {
    const file = join(tmpDir('token'), 'token');
    writeFileSync(file, unsignedToken('worker', -30));
    const settings = settingsFrom(oauth({ KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: file }));
    const options = { logger: keptLog().logger, deadlineMs: DEADLINE_MS };
    await expect(ping(settings, options)).rejects.toThrow('SASL_AUTHENTICATION_FAILED');
    writeFileSync(file, `${unsignedToken('worker', 600)}\n`);
    await ping(settings, options);
  });

  it('takes a token of an endpoint that knows our secret, and says so where it does not', async () => {
    const token = unsignedToken('worker', 600);
    const endpoint = await startTokenEndpoint({ clientId: 'id', clientSecret: 'open+sesame', token });
    const env = (secret: string): Environment =>
      oauth({
        KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: endpoint,
        KAFKA_SASL_OAUTHBEARER_CLIENT_ID: 'id',
        KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: secret,
        KAFKA_SASL_OAUTHBEARER_SCOPE: 'kafka',
      });
    const { lines } = await expectWork(env('open+sesame'));
    expectNowhere([token, 'open+sesame'], lines);
    const cause = /^KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT gave no token: status 401$/;
    await expectRefusal(env('close-sesame'), cause, ['close-sesame', LEAK]);
  });

  it('keeps an outlet and a consumer going when sessions run out', async () => {
    const { logger } = keptLog();
    let logins = 0;
    const settings: KafkaSettings = {
      ...settingsFrom(oauth({ KAFKA_SASL_OAUTHBEARER_TOKEN: unsignedToken('worker', 600) })),
      sasl: {
        mechanism: 'oauthbearer',
        token: async () => {
          logins += 1;
          return Promise.resolve(new SecretValue(unsignedToken('worker', 600)));
        },
      },
    };
    const names = namesOf(freshName('session'));
    await createTopics(settings, { names, partitions: 1 }, logger);
    const outlet = outletTo(settings, names, logger);
    const handler = new FakeHandler();
    const { consumer, fatal } = startConsumer(settings, [names.secured], handler, { logger });
    const sent = ['first'];
    await outlet.send([record('first')]);
    await waitFor(() => handler.done.length > 0, { what: 'the first record' });
    const [begin, loginsAtFirst] = [performance.now(), logins];
    // A send that fails ends the wait at once: none may.
    let failure: unknown = null;
    await waitFor(
      async () => {
        const text = `record-${sent.length}`;
        await outlet.send([record(text)]).catch((error: unknown) => (failure ??= error));
        sent.push(text);
        return failure !== null || performance.now() - begin > 1.4 * TOKEN_SESSION_MS;
      },
      { what: 'more than a session', timeoutMs: 2 * TOKEN_SESSION_MS, intervalMs: 250 },
    );
    expect(failure).toBeNull();
    await waitFor(() => handler.done.length >= sent.length, { what: 'all records' });
    expect(handler.texts()).toEqual(sent);
    expect(consumer.state().joined).toBe(true);
    expect(fatal).toEqual([]);
    expect(logins).toBeGreaterThan(loginsAtFirst);
  });
});
