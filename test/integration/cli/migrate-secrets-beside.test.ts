import { DataSource } from 'typeorm';
import { expect, it } from 'vitest';
import { generateKey, KeyRing, tokenOf } from '../../../src/fernet/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  queryDatabase,
  runCli,
  startCli,
  waitFor,
} from '../../harness/index.js';
import { lines, MARKER } from '../../components/cli/support.js';

const COUNT = 40;
const CONCURRENCY = 2;
const LONG_MS = 120_000;

/** {@link COUNT} connections in `db`, on PostgreSQL. */
async function createWorld() {
  const aws = await startAwsStandin();
  disposeLater(() => aws.close());
  aws.configure({ latencyMs: 40 });
  const { url } = await createDatabase('postgres');
  const env = {
    ...awsClients(aws.url).env,
    FERNET_KEY: generateKey(),
    DATABASE_URL: url,
    SECRET_MANAGER: 'db',
    CLAIM_MS: '6000',
    STORE_TIMEOUT_MS: '2000',
    SECRET_MANAGER_WRITES_PER_SECOND: '20',
  };
  expect((await runCli(['pipe'], { env, input: lines({ count: COUNT }) })).code).toBe(0);
  const ring = KeyRing.parse('FERNET_KEY', env.FERNET_KEY);
  const query = (sql: string): Promise<Record<string, unknown>[]> => queryDatabase({ url }, sql);
  return {
    aws,
    query,
    begin: (...args: readonly string[]) =>
      startCli(['migrate-secrets', ...args, '--concurrency', String(CONCURRENCY)], env),
    run: (...args: readonly string[]) => runCli(['migrate-secrets', ...args, '--json'], { env }),
    /** Runs a statement in a transaction of its own that stays open. */
    locked: async (sql: string) => {
      const holder = new DataSource({ type: 'postgres', url });
      await holder.initialize();
      const runner = holder.createQueryRunner();
      await runner.startTransaction();
      await runner.query(sql);
      return {
        release: async () => {
          await runner.rollbackTransaction();
          await runner.release();
          await holder.destroy();
        },
        /** How long a statement has waited for a lock so far. */
        waitedMs: async () => {
          const [row] = await query(
            `SELECT COALESCE(MAX(EXTRACT(EPOCH FROM clock_timestamp() - query_start) * 1000), 0) AS ms
               FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
          return Number(row?.['ms']);
        },
      };
    },
    /** Of each connection: who keeps it, and what its reference stands for there. */
    kept: async () => {
      const rows = await query(
        'SELECT c.manager, r.sealed FROM connection c JOIN secret_reference r ON r.connection_id = c.id ORDER BY c.id',
      );
      return rows.map(({ manager, sealed }) => {
        const text = ring.open(tokenOf(String(sealed)));
        const secretId = /^secret:(.*)$/.exec(text)?.[1];
        const stored = aws.secrets().find((secret) => secret.secretId === secretId);
        return [manager, secretId === undefined ? text : stored?.value];
      });
    },
  };
}

const allIn = (manager: string): unknown[] =>
  Array.from({ length: COUNT }, (_, number) => [manager, `${MARKER}-${number}`]);

describeWith(['postgres'], 'several migrations of one database', () => {
  it.each([
    ['to their end', null, 0],
    // What it had under way is written again.
    ['while one of them is killed', 'SIGKILL', CONCURRENCY],
  ] as const)(
    'the same one twice at the same time, %s: each value is moved once',
    async (_, signal, again) => {
      const { aws, begin, run, kept, query } = await createWorld();
      const [one, two] = [begin('--to', 'managed-aws'), begin('--to', 'managed-aws')];
      await waitFor(() => aws.secrets().length >= 5, {
        what: 'five secrets in the store',
        timeoutMs: LONG_MS,
      });
      if (signal !== null) one.kill(signal);
      else expect((await one.waitForExit(LONG_MS)).code).toBe(0);
      expect((await two.waitForExit(LONG_MS)).code).toBe(0);
      expect((await run('status')).stdout).toContain('"active": "managed-aws"');
      expect(await kept()).toEqual(allIn('managed-aws'));
      expect(await query('SELECT DISTINCT revision FROM connection')).toEqual([{ revision: 2 }]);
      const writes = aws.secrets().reduce((sum, { versions }) => sum + versions.length, 0);
      expect(writes).toBeGreaterThanOrEqual(COUNT);
      expect(writes).toBeLessThanOrEqual(COUNT + again);
      expect(one.stdout() + one.stderr() + two.stdout() + two.stderr()).not.toContain(MARKER);
    },
  );

  it('the way back after one that was killed: all values are where they were, none is left unknown', async () => {
    const { aws, begin, run, kept, query } = await createWorld();
    const forth = begin('--to', 'managed-aws');
    await waitFor(() => aws.secrets().length >= 5, { what: 'five secrets in the store', timeoutMs: LONG_MS });
    forth.kill('SIGKILL');
    await forth.waitForExit();
    const back = await run('rollback', '--yes');
    expect(back).toMatchObject({ code: 0 });
    expect(await kept()).toEqual(allIn('db'));
    const known = await query(`SELECT secret_id FROM stored_secret WHERE manager = 'managed-aws'`);
    const ids = known.map(({ secret_id: id }) => id);
    for (const { secretId } of aws.secrets()) expect(ids).toContain(secretId);
    expect(await query(`SELECT state FROM stored_secret WHERE state = 'live'`)).toEqual([]);
    expect(JSON.parse((await run('status')).stdout)).toMatchObject({ active: 'db' });
  });

  it('one in each direction: the later request wins, the earlier ends and says so', async () => {
    const { aws, begin, run, kept } = await createWorld();
    const forth = begin('--to', 'managed-aws');
    await waitFor(() => aws.secrets().length >= 5, { what: 'five secrets in the store', timeoutMs: LONG_MS });
    const back = await run('rollback', '--yes');
    const { code } = await forth.waitForExit(LONG_MS);
    expect(code).toBe(2);
    expect(forth.stderr()).toContain('MANAGER_MISMATCH');
    expect(back.code).toBe(0);
    expect(await kept()).toEqual(allIn('db'));
  });

  it('a row that somebody keeps locked for longer than a worker waits: the command waits for it', async () => {
    const { begin, kept, locked } = await createWorld();
    const { release, waitedMs } = await locked('SELECT id FROM connection ORDER BY id LIMIT 1 FOR UPDATE');
    const moving = begin('--to', 'managed-aws');
    let hasEnded = false;
    const exit = moving.waitForExit(LONG_MS).finally(() => (hasEnded = true));
    // A worker gives a lock up after one second, and handles its event again.
    await waitFor(async () => (await waitedMs()) > 1_500 || hasEnded, {
      what: 'a wait for the lock',
      timeoutMs: LONG_MS,
    });
    await release();
    expect((await exit).code, moving.stderr()).toBe(0);
    expect(await kept()).toEqual(allIn('managed-aws'));
  });
});
