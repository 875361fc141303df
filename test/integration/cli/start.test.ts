import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import {
  awsClients,
  createDatabase,
  createTopics,
  describeWith,
  disposeLater,
  freePort,
  freshName,
  produce,
  queryDatabase,
  readUntil,
  readyz,
  runCli,
  startCli,
  untilDown,
  untilReady,
  urlOf,
  waitFor,
} from '../../harness/index.js';
import { answerOf } from '../../harness/json-schemas.js';
import { changeEvent, CONNECTION_ID, MARKER } from '../../components/cli/support.js';

const TOPICS = ['CREATED', 'UPDATED', 'DELETED', 'SECURED', 'DEAD_LETTER'] as const;

async function workerEnv(kafka: string, engine: 'postgres' | 'sqlite', makeTopics = true) {
  const database = await createDatabase(engine);
  const prefix = freshName('start');
  const topics = Object.fromEntries(
    TOPICS.map((name) => [`TOPIC_${name}`, `${prefix}.${name.toLowerCase()}`]),
  );
  if (makeTopics) await createTopics(Object.values(topics));
  const env: Record<string, string> = {
    ...topics,
    FERNET_KEY: generateKey(),
    SECRET_MANAGER: 'db',
    DATABASE_URL: database.url,
    KAFKA_BROKERS: kafka,
    KAFKA_GROUP_ID: prefix,
    KAFKA_SESSION_TIMEOUT_MS: '6000',
    HTTP_PORT: '0',
    SHUTDOWN_GRACE_MS: '3000',
  };
  return { env, topics, database };
}

describeWith(['kafka', 'postgres'], 'start', ({ kafka }) => {
  it('applies an event, counts it, says that it is ready, and stops cleanly', async () => {
    const { env, topics } = await workerEnv(kafka, 'postgres');
    const worker = startCli(['start'], env);
    const url = await urlOf(worker);
    await untilReady(url);
    await produce(topics['TOPIC_CREATED']!, [{ key: CONNECTION_ID, value: changeEvent() }]);
    const [secured] = await readUntil(topics['TOPIC_SECURED']!, (records) => records.length > 0);
    expect(secured?.key).toBe(CONNECTION_ID);
    await produce(topics['TOPIC_CREATED']!, [{ key: 'x', value: `{"broken": "${MARKER}` }]);
    await worker.waitForLine('"outcome":"refused"');

    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('connection_secrets_events_total{outcome="applied",code=""} 1');
    expect(metrics).toContain('connection_secrets_dead_letters_total{code="EVENT_NOT_DECODABLE"} 1');
    expect(metrics).toMatch(/connection_secrets_ready\{part="broker"\} 1/);
    expect(metrics).toContain('connection_secrets_assigned_partitions 3');
    expect(metrics).toContain(
      `connection_secrets_consumer_lag_records{topic="${topics['TOPIC_CREATED']}",partition="0"} 0`,
    );
    expect(metrics).not.toContain(CONNECTION_ID);
    expect(metrics).not.toContain('mysql-test');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/other`)).status).toBe(404);

    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    const lines = worker
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ outcome }) => outcome === 'applied')).toMatchObject({
      msg: 'event',
      connectionId: CONNECTION_ID,
      secretFields: 1,
    });
    expect(lines.at(-1)).toMatchObject({ msg: 'stopped' });
    expect(worker.stdout() + worker.stderr() + metrics).not.toContain(MARKER);
    expect(worker.stderr()).toBe('');
  });

  it('waits for the store that secrets are to be moved to; who works with the former one goes on until then', async () => {
    const { env, topics, database } = await workerEnv(kafka, 'postgres');
    const standin = await startAwsStandin();
    disposeLater(() => standin.close());
    const former = startCli(['start'], env);
    await untilReady(await urlOf(former));
    standin.fault({ kind: 'server-error' });
    const next = startCli(['start'], {
      ...env,
      ...awsClients(standin.url).env,
      SECRET_MANAGER: 'managed-aws',
    });
    await untilDown(await urlOf(next), 'store', 'STORE_UNAVAILABLE');
    await produce(topics['TOPIC_CREATED']!, [{ key: CONNECTION_ID, value: changeEvent() }]);
    await former.waitForLine('"outcome":"applied"');

    standin.clearFaults();
    await next.waitForLine('secrets moved', { timeoutMs: 60_000 });
    expect(standin.secrets().map(({ value }) => value)).toEqual([MARKER]);
    expect(await queryDatabase(database, 'SELECT manager FROM connection')).toEqual([
      { manager: 'managed-aws' },
    ]);
    // Refused its next transaction; until there is one it has nothing to do, and stops as ever.
    expect([0, 2]).toContain((await former.stop()).code);
    expect(await next.stop()).toEqual({ code: 0, signal: null });
    expect(next.stdout() + next.stderr()).not.toContain(MARKER);
  }, 180_000);

  it('refuses a second group on one database, unless told otherwise', async () => {
    const { env, database } = await workerEnv(kafka, 'postgres');
    const first = startCli(['start'], env);
    await untilReady(await urlOf(first));
    const other = { ...env, KAFKA_GROUP_ID: freshName('other') };
    const refused = await runCli(['start'], { env: other });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(env['KAFKA_GROUP_ID']);
    expect(refused.stderr).toContain(other.KAFKA_GROUP_ID);
    expect(refused.stderr).toContain('--allow-group-change');
    expect((await first.stop()).code).toBe(0);

    const taking = startCli(['start', '--allow-group-change'], other);
    await untilReady(await urlOf(taking));
    const rows = await queryDatabase(database, "SELECT value FROM setting WHERE name = 'kafka_group_id'");
    expect(rows).toEqual([{ value: other.KAFKA_GROUP_ID }]);
    expect((await taking.stop()).code).toBe(0);
  });

  it('ends with 2 where topics are missing, naming each', async () => {
    const { env, topics } = await workerEnv(kafka, 'sqlite', false);
    const result = await runCli(['start'], { env });
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('error: TOPICS_INVALID');
    const ended = result.stdout.split('\n').find((line) => line.includes('"msg":"ended"'));
    expect(JSON.parse(ended ?? '{}')).toMatchObject({ error: { code: 'TOPICS_INVALID' } });
    for (const topic of Object.values(topics)) expect(result.stderr).toContain(topic);
    const check = await runCli(['topics', 'check'], { env });
    expect(check.code).toBe(1);

    const created = await runCli(
      ['topics', 'create', '--partitions', '2', '--replication-factor', '1', '--json'],
      { env },
    );
    expect(answerOf('topics create', created.stdout)).toMatchObject({ total: 5 });
    const good = await runCli(['topics', 'check', '--json'], { env });
    expect({ code: good.code, ...(answerOf('topics check', good.stdout) as object) }).toMatchObject({
      code: 0,
      items: [],
    });
    expect((await runCli(['doctor'], { env })).stdout).toContain('ok      topics: as they should be');
  });

  it('waits for a broker that is not there, alive and not ready, and stops when told', async () => {
    const { env } = await workerEnv(kafka, 'sqlite', false);
    const worker = startCli(['start'], { ...env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` });
    const url = await urlOf(worker);
    const report = await waitFor(
      async () => {
        const answer = await readyz(url);
        return answer.parts.some(({ part, state }) => part === 'broker' && state === 'down') && answer;
      },
      { what: 'the broker to be reported down' },
    );
    expect(report).toMatchObject({ status: 503, ready: false, phase: 'starting' });
    expect(report.parts).toContainEqual(
      expect.objectContaining({ part: 'broker', code: 'BROKER_UNAVAILABLE' }),
    );
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    // Of a part that was never looked at, too: an alarm sees nothing of a series that is not there.
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const part of ['broker', 'consumer'])
      expect(metrics).toContain(`connection_secrets_ready{part="${part}"} 0`);
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    const waiting = worker
      .stdout()
      .split('\n')
      .filter((line) => line.includes('"msg":"waiting for the broker"'));
    expect(waiting).toHaveLength(1);
  });

  it('waits for a database that is not there', async () => {
    const { env } = await workerEnv(kafka, 'sqlite', false);
    const nowhere = `postgres://user:${MARKER}@127.0.0.1:${await freePort()}/none`;
    const worker = startCli(['start'], { ...env, DATABASE_URL: nowhere });
    const url = await urlOf(worker);
    await waitFor(
      async () =>
        (await readyz(url)).parts.some(
          ({ part, code }) => part === 'database' && code === 'DATABASE_UNAVAILABLE',
        ),
      { what: 'the database to be reported down' },
    );
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
    expect(worker.stdout() + worker.stderr()).not.toContain(MARKER);
  });

  it('ends at once at a second signal', async () => {
    const { env } = await workerEnv(kafka, 'sqlite', false);
    // Takes connections and never answers: opening the database cannot be cut short.
    const silent = createServer().listen(0, '127.0.0.1');
    disposeLater(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const connected = once(silent, 'connection');
    const worker = startCli(['start'], { ...env, DATABASE_URL: `postgres://user@127.0.0.1:${port}/none` });
    await connected;
    process.kill(worker.pid, 'SIGTERM');
    await worker.waitForLine('"msg":"told to stop"');
    const toldAt = performance.now();
    process.kill(worker.pid, 'SIGTERM');
    expect(await worker.waitForExit()).toEqual({ code: 1, signal: null });
    expect(performance.now() - toldAt).toBeLessThan(2_000);
    expect(worker.stderr()).toContain('ended by a second signal');
  });
});
