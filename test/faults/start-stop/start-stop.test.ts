import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import {
  awsClients,
  committedOffsets,
  createDatabase,
  describeWith,
  disposeLater,
  freshName,
  queryDatabase,
  runCli,
  startCli,
  untilReady,
  urlOf,
  waitFor,
  type DatabaseEngine,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { startWorker } from '../../e2e/fixture.js';
import { PATIENCE_MS, Rig, secretIdOf } from '../outages/rig.js';

/** More than a stop takes beside its grace: leaving the group, closing connections, a busy machine. */
const CLOSING_MS = 20_000;

async function openStandin(): Promise<AwsStandin> {
  const standin = await startAwsStandin();
  disposeLater(() => standin.close());
  return standin;
}

/** Takes connections and never answers. */
async function silentPort(): Promise<number> {
  const silent = createServer().listen(0, '127.0.0.1');
  disposeLater(() => void silent.close());
  await once(silent, 'listening');
  return (silent.address() as AddressInfo).port;
}

describeWith(['kafka'], 'SIGTERM', ({ kafka }) => {
  async function busyRig(fault: Omit<Fault, 'secretId'>, graceMs: number) {
    const standin = await openStandin();
    const { url } = await createDatabase('sqlite');
    const { env } = awsClients(standin.url);
    const rig = await Rig.open({
      ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws' },
      env: { ...env, CLAIM_MS: '12000', STORE_TIMEOUT_MS: '5000', SHUTDOWN_GRACE_MS: String(graceMs) },
    });
    await rig.startReady();
    const name = freshName('busy');
    standin.fault({ ...fault, secretId: secretIdOf(name) });
    const password = await rig.publish(name);
    await waitFor(() => standin.calls.some(({ ids }) => ids.includes(secretIdOf(name))), {
      what: 'the request at the store',
      timeoutMs: PATIENCE_MS,
    });
    return { rig, standin, name, password };
  }

  it('finishes what is in flight: applied, published, its offset committed', async () => {
    const { rig, standin, name, password } = await busyRig({ kind: 'slow-answer', delayMs: 2_000 }, 20_000);
    expect(await rig.worker.stop(20_000 + CLOSING_MS)).toEqual({ code: 0, signal: null });
    await rig.applied(name, 1_000);
    expect(standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value).toBe(password);
    const { created } = rig.world.topics;
    const offsets = await committedOffsets(rig.world.env['KAFKA_GROUP_ID']!, created, { brokers: kafka });
    expect(offsets.get(0)).toBe(1);
    await rig.expectNothingLost();
  });

  it('while the store hangs: ends after its grace, and the next start applies the event once', async () => {
    const graceMs = 500;
    const { rig, standin, name } = await busyRig({ kind: 'hang-after' }, graceMs);
    const begin = performance.now();
    expect(await rig.worker.stop(graceMs + CLOSING_MS)).toEqual({ code: 0, signal: null });
    expect(performance.now() - begin).toBeLessThan(graceMs + 10_000);
    const { created } = rig.world.topics;
    const offsets = await committedOffsets(rig.world.env['KAFKA_GROUP_ID']!, created, { brokers: kafka });
    expect(offsets.get(0)).toBe(-1);
    standin.clearFaults();
    await rig.startReady();
    await rig.applied(name);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });

  it('twice, while it finishes: ends at once with 1', async () => {
    const { rig } = await busyRig({ kind: 'hang' }, 60_000);
    const { worker } = rig;
    process.kill(worker.pid, 'SIGTERM');
    await worker.waitForLine('"msg":"stopping"');
    const begin = performance.now();
    process.kill(worker.pid, 'SIGTERM');
    expect(await worker.waitForExit()).toEqual({ code: 1, signal: null });
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(worker.stderr()).toContain('ended by a second signal');
  });

  it('while the start waits for a database, or a broker, that takes connections and says nothing', async () => {
    const { url } = await createDatabase('sqlite');
    const rig = await Rig.open({ brokers: kafka, databaseUrl: url });
    const silent = await silentPort();
    const workers = [
      startWorker(rig.world, { DATABASE_URL: `postgres://user@127.0.0.1:${silent}/none` }),
      startWorker(rig.world, { KAFKA_BROKERS: `127.0.0.1:${silent}` }),
    ];
    for (const worker of workers) await urlOf(worker);
    const exits = await Promise.all(workers.map((worker) => worker.stop(5_000 + CLOSING_MS)));
    expect(exits).toEqual([
      { code: 0, signal: null },
      { code: 0, signal: null },
    ]);
  });
});

describe('start refuses', () => {
  const base = {
    FERNET_KEY: generateKey(),
    SECRET_MANAGER: 'db',
    KAFKA_BROKERS: '127.0.0.1:1',
    HTTP_PORT: 'off',
  };

  async function expectRefusal(env: Readonly<Record<string, string>>, ...texts: string[]): Promise<void> {
    const result = await runCli(['start'], { env: { ...base, ...env } });
    expect(result.code, result.stderr).toBe(2);
    for (const text of texts) expect(result.stderr).toContain(text);
  }

  it.each(['jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=', 'cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4='])(
    'a public sample key, without repeating it: %s',
    async (key) => {
      const result = await runCli(['start'], { env: { ...base, FERNET_KEY: key } });
      expect(result.code).toBe(2);
      expect(result.stderr).toContain('FERNET_KEY');
      expect(result.stderr).toMatch(/sample/);
      expect(result.stderr + result.stdout).not.toContain(key);
    },
  );

  // The Kafka client refuses them as well, when it is made: by then the database has been opened and its schema migrated.
  it.each(['KAFKAJS_DEBUG_PROTOCOL_BUFFERS', 'KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS'])(
    'a flag that makes the Kafka client print records, before anything is opened: %s',
    async (flag) => {
      const { url } = await createDatabase('sqlite');
      await expectRefusal(
        { [flag]: '1', DATABASE_URL: url },
        'UNSAFE_DEBUG_FLAG',
        `  ${flag}: prints the contents of records`,
      );
      expect(existsSync(url.slice('sqlite:'.length))).toBe(false);
    },
  );

  it('another key than the database was written with; a schema newer than the program', async () => {
    const { url } = await createDatabase('sqlite');
    const migrated = await runCli(['database', 'migrate'], { env: { ...base, DATABASE_URL: url } });
    expect(migrated.code, migrated.stderr).toBe(0);
    // Waits for its broker: what it is started under is written down by then.
    const first = startCli(['start'], { ...base, DATABASE_URL: url });
    await first.waitForLine('waiting for the broker', { timeoutMs: 60_000 });
    expect((await first.stop()).code).toBe(0);
    await expectRefusal({ DATABASE_URL: url, FERNET_KEY: generateKey() }, 'KEY_MISMATCH', 'FERNET_KEY');

    const { default: Sqlite } = await import('better-sqlite3');
    const file = new Sqlite(url.slice('sqlite:'.length));
    file.exec(
      `INSERT INTO schema_migration ("timestamp", name) VALUES (1999999999999, 'Later1999999999999')`,
    );
    file.close();
    await expectRefusal({ DATABASE_URL: url }, 'SCHEMA_TOO_NEW', 'Later1999999999999');
  });
});

describeWith(['kafka', 'postgres', 'mariadb'], 'several start at once on an empty database', ({ kafka }) => {
  it.each<DatabaseEngine>(['postgres', 'mariadb'])(
    '%s: the schema is migrated once; of two groups one is refused',
    async (engine) => {
      const { url } = await createDatabase(engine);
      const rig = await Rig.open({ brokers: kafka, databaseUrl: url });
      const groups = [freshName('one'), freshName('one'), freshName('other'), freshName('other')].map(
        (_, at, all) => all[at < 2 ? 0 : 2]!,
      );
      const workers = groups.map((group) => startWorker(rig.world, { KAFKA_GROUP_ID: group }));
      const settled = await Promise.all(
        workers.map(async (worker) => {
          const answer = urlOf(worker).then(async (at) => untilReady(at, PATIENCE_MS));
          return Promise.race([
            answer.then(
              () => 'ready',
              () => 'ended',
            ),
            worker.waitForExit(PATIENCE_MS * 2).then(({ code }) => `ended with ${code}`),
          ]);
        }),
      );
      const rows = await queryDatabase({ url }, `SELECT value FROM setting WHERE name = 'kafka_group_id'`);
      const winner = String(rows[0]?.['value']);
      for (const [at, group] of groups.entries()) {
        if (group === winner) {
          expect(settled[at]).toBe('ready');
          continue;
        }
        const loser = workers[at]!;
        expect((await loser.waitForExit()).code).toBe(2);
        expect(loser.stderr()).toContain(winner);
        expect(loser.stderr()).toContain('--allow-group-change');
      }
      const executed = await queryDatabase(
        { url },
        'SELECT name, COUNT(*) AS n FROM schema_migration GROUP BY name',
      );
      expect(executed.length).toBeGreaterThan(0);
      expect(executed.every(({ n }) => Number(n) === 1)).toBe(true);
      for (const worker of workers.filter(({ running }) => running))
        expect((await worker.stop()).code).toBe(0);
    },
  );
});
