import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { changedBy, operatorName } from '../../../src/operator.js';
import { docBlock, expectShown, runBlock } from '../../harness/doc-blocks.js';
import { awsClients, queryDatabase, runCli, startCli, waitFor, type CliResult } from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { idOf, lines, localSetup, MARKER, type Lines } from '../../components/cli/support.js';

function setup(env: Readonly<Record<string, string>> = {}) {
  const { dir, databaseFile, env: local } = localSetup();
  const all = { ...local, SECRET_MANAGER: 'db', LOCAL_VAULT_FILE: join(dir, 'vault.sqlite'), ...env };
  return {
    env: all,
    databaseFile,
    pipe: (input: Lines = {}, more: Readonly<Record<string, string>> = {}) =>
      runCli(['pipe'], { env: { ...all, ...more }, input: lines(input) }),
    migrate: (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      runCli(['migrate-secrets', ...args], { env: { ...all, ...more } }),
    query: (sql: string) => queryDatabase({ url: `sqlite:${databaseFile}` }, sql),
  };
}

/** AUDIT_ACTOR is unset. */
const NOBODY = { audit: { actor: null } };

function json({ stdout }: CliResult): unknown {
  return JSON.parse(stdout);
}

const statusOf = (result: CliResult): Status => json(result) as Status;

interface Status {
  readonly active: string;
  readonly former: readonly string[];
  readonly connections: readonly { manager: string; count: number }[];
  readonly migrations: readonly { state: string; moved: number; total: number }[];
}

const noValues = (...results: readonly CliResult[]): void => {
  for (const { stdout, stderr } of results) expect(stdout + stderr).not.toContain(MARKER);
};

describe('docs/migration.md, from the dry run to the way back', () => {
  it('its commands do what it says', async () => {
    const { env, pipe, query } = setup();
    expect((await pipe({ count: 1 })).code).toBe(0);
    const run = (block: ReturnType<typeof docBlock>) => runBlock(block, { env });

    const preview = await run(docBlock('docs/migration.md', 'sh', '--dry-run'));
    expect(preview.code).toBe(0);
    expectShown(docBlock('docs/migration.md', 'text', 'would be moved'), preview.stdout);
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'db' }]);

    const moved = await run(docBlock('docs/migration.md', 'sh', 'beside running workers'));
    expect(moved).toMatchObject({ code: 0 });
    expect(moved.stdout).toContain('1 of 1 connection moved to local');
    expect(moved.stdout).toContain('1 secured event still');
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'local' }]);

    expect((await run(docBlock('docs/migration.md', 'sh', 'resume'))).code).toBe(2);
    const status = await run(docBlock('docs/migration.md', 'sh', 'status'));
    expect(status.stdout).toContain('active: local, before: db');

    const back = await run(docBlock('docs/migration.md', 'sh', 'rollback'));
    expect(back.code).toBe(0);
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'db' }]);
    expect(await query(`SELECT manager, state FROM stored_secret`)).toEqual([
      { manager: 'local', state: 'retired' },
    ]);

    // Its readers are told first: `pipe` publishes what waits.
    expect((await pipe({ count: 0 })).code).toBe(0);
    const again = await runBlock(docBlock('docs/migration.md', 'sh', '--delete-source'), {
      env,
      values: { '--to local': '--to db' },
    });
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toContain('1 secret deleted from the former place');
    expect(await query(`SELECT manager, state FROM stored_secret`)).toEqual([
      { manager: 'local', state: 'deleted' },
    ]);
    noValues(preview, moved, status, back, again);
  });
});

describe('migrate-secrets', () => {
  it.each([
    [[], /--to/],
    [['--to', 'nowhere'], /choices/],
    [['--to', 'local', '--from', 'local'], /the same/],
    [['--to', 'local', '--from', 'managed-aws'], /no connection has its secrets in managed-aws/],
    [['--to', 'local', '--connection', 'x'], /no connection x/],
    [['resume'], /no migration/],
    [['rollback'], /no way back/],
    [['--to', 'in-memory'], /memory/],
    [['--to', 'managed-aws'], /region/i],
  ])('%j: 2, and nothing is changed', async (args, message) => {
    const { pipe, migrate, query } = setup();
    await pipe({ count: 1 });
    const result = await migrate(args);
    expect(result).toMatchObject({ code: 2 });
    expect(result.stderr).toMatch(message);
    const [row] = await query(`SELECT value FROM setting WHERE name = 'active_manager'`);
    expect(row?.['value']).toBe('db');
    expect(await query('SELECT id FROM operation')).toEqual([]);
  });

  it('another key: 2, and nothing is changed', async () => {
    const { pipe, migrate, query } = setup();
    await pipe({ count: 1 });
    for (const args of [
      ['--to', 'local'],
      ['--to', 'local', '--dry-run'],
    ]) {
      const result = await migrate(args, { FERNET_KEY: generateKey() });
      expect(result).toMatchObject({ code: 2 });
      expect(result.stderr).toContain('KEY_MISMATCH');
    }
    expect(await query('SELECT id FROM operation')).toEqual([]);
  });

  it.each([
    ['does not answer', { kind: 'server-error' }, 'STORE_UNAVAILABLE'],
    ['denies', { kind: 'error', name: 'AccessDeniedException' }, 'STORE_ACCESS'],
  ] as const)('a target that %s: 1, and nothing is begun', async (_, fault, code) => {
    const aws = await startAwsStandin();
    try {
      const { pipe, migrate, query } = setup(awsClients(aws.url).env);
      await pipe({ count: 1 });
      aws.fault(fault);
      const result = await migrate(['--to', 'managed-aws']);
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toContain(`error: ${code}: `);
      const [row] = await query(`SELECT value FROM setting WHERE name = 'active_manager'`);
      expect(row?.['value']).toBe('db');
      expect(await query('SELECT id FROM operation')).toEqual([]);
      expect((await pipe({ count: 2 })).code).toBe(0);
    } finally {
      await aws.close();
    }
  });

  it.each([
    ['rollback', '--dry-run'],
    ['--dry-run', 'rollback'],
    ['rollback', '--connection', idOf(0)],
    ['resume', '--delete-source'],
    ['status', '--to', 'db'],
  ])('%s %s: an option of the command itself is not passed over', async (...args) => {
    const { pipe, migrate, query } = setup();
    await pipe({ count: 1 });
    expect((await migrate(['--to', 'local'])).code).toBe(0);
    const result = await migrate(args);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: USAGE_INVALID: .*--[a-z-]+/m);
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'local' }]);
    expect(await query('SELECT id FROM operation')).toHaveLength(1);
  });

  it('by configuration: not into the memory of a process either', async () => {
    const { pipe, query } = setup();
    await pipe({ count: 1 });
    const result = await pipe({ count: 0 }, { SECRET_MANAGER: 'in-memory' });
    expect(result).toMatchObject({ code: 2 });
    expect(result.stderr).toContain('MANAGER_MISMATCH');
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'db' }]);
  });

  it('only some connections, then the rest by `pipe` under the new manager', async () => {
    const { pipe, migrate } = setup();
    await pipe();
    const moved = await migrate(['--to', 'local', '--connection', idOf(1), '--json']);
    expect(json(moved)).toMatchObject({ state: 'done', moved: 1, total: 1, failures: [] });
    expect(statusOf(await migrate(['status', '--json']))).toMatchObject({
      active: 'local',
      former: ['db'],
      connections: [
        { manager: 'db', count: 2 },
        { manager: 'local', count: 1 },
      ],
    });
    const refused = await pipe({ count: 0 });
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('MANAGER_MISMATCH');
    const rest = await pipe({ count: 0 }, { SECRET_MANAGER: 'local' });
    expect(rest).toMatchObject({ code: 0 });
    expect(rest.stderr).toContain('secrets moved');
    expect(statusOf(await migrate(['status', '--json'])).connections).toEqual([
      { manager: 'local', count: 3 },
    ]);
    noValues(moved, rest);
  });

  it('a start of `pipe` under another manager moves; with SECRET_MIGRATION=manual it says what does', async () => {
    const { pipe, migrate } = setup();
    await pipe();
    const manual = await pipe({ count: 0 }, { SECRET_MANAGER: 'local', SECRET_MIGRATION: 'manual' });
    expect(manual).toMatchObject({ code: 2 });
    expect(manual.stderr).toContain('migrate-secrets --to local');
    const auto = await pipe({ count: 0 }, { SECRET_MANAGER: 'local' });
    expect(auto.code).toBe(0);
    expect(auto.stdout.trim().split('\n')).toHaveLength(3);
    expect(statusOf(await migrate(['status', '--json'])).connections).toEqual([
      { manager: 'local', count: 3 },
    ]);
    const back = await pipe({ count: 0 });
    expect(back).toMatchObject({ code: 2 });
    expect(back.stderr).toContain('migrate-secrets --to db');
  });

  it('a forgotten SECRET_MANAGER moves nothing out of a store: the start is refused and names it', async () => {
    const { env, pipe, query } = setup({ SECRET_MANAGER: 'local' });
    expect((await pipe({ count: 1 })).code).toBe(0);
    const before = await query('SELECT manager, revision FROM connection');
    const { SECRET_MANAGER: _forgotten, ...without } = env;
    for (const more of [{}, { SECRET_MIGRATION: 'auto' }]) {
      const refused = await runCli(['pipe'], { env: { ...without, ...more }, input: '' });
      expect(refused).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr).toContain('set SECRET_MANAGER=local');
    }
    expect(await query('SELECT manager, revision FROM connection')).toEqual(before);
  });

  it('out of a store moves only what somebody asked for; the audit and the status say who', async () => {
    const { pipe, migrate, query } = setup({ SECRET_MANAGER: 'local' });
    await pipe({ count: 2 });
    const refused = await pipe({ count: 0 }, { SECRET_MANAGER: 'db' });
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('migrate-secrets --to db');
    expect(await query("SELECT id FROM audit WHERE action = 'change-manager'")).toEqual([]);

    const asked = await pipe({ count: 0 }, { SECRET_MANAGER: 'db', SECRET_MIGRATION: 'auto' });
    expect(asked.code).toBe(0);
    expect(await query("SELECT actor, detail FROM audit WHERE action = 'change-manager'")).toEqual([
      {
        actor: operatorName(NOBODY),
        detail: `from local to db, by ${operatorName(NOBODY)} on ${hostname()}, connection-secrets pipe`,
      },
    ]);
    expect(statusOf(await migrate(['status', '--json']))).toMatchObject({
      active: 'db',
      connections: [{ manager: 'db', count: 2 }],
      items: [{ state: 'done', to: 'db', moved: 2, total: 2, left: 0, by: changedBy(NOBODY, 'pipe') }],
    });
  });

  it('a connection that somebody works on is waited for after the others, however long these take', async () => {
    const aws = await startAwsStandin();
    const { pipe, migrate, databaseFile } = setup({
      OM_SM_REGION: 'eu-west-1',
      OM_SM_ACCESS_KEY_ID: 'test',
      OM_SM_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: aws.url,
      SECRET_MANAGER_WRITES_PER_SECOND: '1',
      CLAIM_MS: '3000',
      STORE_TIMEOUT_MS: '500',
    });
    const count = 13;
    expect(await pipe({ count })).toMatchObject({ code: 0 });
    // Until after the first look at it.
    new Sqlite(databaseFile)
      .exec(
        `UPDATE connection SET claim_owner = 'other', claim_expires_at_ms = ${Date.now() + 8_000} WHERE id = '${idOf(0)}'`,
      )
      .close();
    const result = await migrate(['--to', 'managed-aws', '--json']);
    expect(json(result)).toMatchObject({ state: 'done', moved: count, left: 0, failures: [] });
    expect(result.code).toBe(0);
    await aws.close();
  });

  it('what the new store refuses is listed, the others move; 1', async () => {
    const aws = await startAwsStandin();
    const { pipe, migrate, query } = setup({
      OM_SM_REGION: 'eu-west-1',
      OM_SM_ACCESS_KEY_ID: 'test',
      OM_SM_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: aws.url,
      // A pipe waits until what the store has refused is in doubt no more: four claims.
      CLAIM_MS: '3000',
      STORE_TIMEOUT_MS: '500',
    });
    const passwordOf = (number: number): string =>
      [`${MARKER}{{x}}`, `${MARKER}${'a'.repeat(5_000)}`, MARKER][number] ?? '';
    await pipe({ passwordOf });
    const preview = await migrate(['--to', 'managed-aws-ssm', '--dry-run', '--json']);
    expect(preview.code).toBe(1);
    const { connections } = json(preview) as {
      connections: { problem: { code: string } | null; values: number }[];
    };
    expect(connections.map(({ problem }) => problem?.code ?? null)).toEqual([
      'VALUE_REFUSED_BY_STORE',
      'VALUE_TOO_LONG',
      null,
    ]);
    const result = await migrate(['--to', 'managed-aws-ssm', '--json']);
    expect(result.code).toBe(1);
    expect(json(result)).toMatchObject({
      state: 'failed',
      moved: 1,
      failures: [
        { connectionId: idOf(0), name: 'mysql-0', code: 'VALUE_REFUSED_BY_STORE' },
        { connectionId: idOf(1), name: 'mysql-1', code: 'VALUE_TOO_LONG' },
      ],
    });
    expect(await query('SELECT manager FROM connection ORDER BY id')).toEqual([
      { manager: 'db' },
      { manager: 'db' },
      { manager: 'managed-aws-ssm' },
    ]);
    // An event that replaces the value goes through, and the rest with the next run.
    const replaced = await pipe(
      { timestampMs: 1_790_000_100_000, passwordOf: () => `${MARKER}-new` },
      { SECRET_MANAGER: 'managed-aws-ssm' },
    );
    expect(replaced.code).toBe(0);
    expect(json(await migrate(['resume', '--json']))).toMatchObject({ state: 'done' });
    noValues(preview, result, replaced);
    await aws.close();
  });

  it('a recorded version that the store has lost: listed, and a mask refused, until an event sets it again', async () => {
    const { env, pipe, migrate, query } = setup({ SECRET_MANAGER: 'local' });
    expect((await pipe({ count: 1 })).code).toBe(0);
    rmSync(env.LOCAL_VAULT_FILE);
    const gone = { connectionId: idOf(0), code: 'SECRET_VERSION_GONE' };
    const preview = await migrate(['--to', 'db', '--dry-run', '--json']);
    expect(preview.code).toBe(1);
    expect(json(preview)).toMatchObject({ connections: [{ problem: { code: gone.code } }] });
    const moved = await migrate(['--to', 'db', '--yes', '--json']);
    expect(moved.code).toBe(1);
    expect(json(moved)).toMatchObject({ state: 'failed', moved: 0, failures: [gone] });
    const under = { SECRET_MANAGER: 'db' };
    const masked = await pipe(
      { count: 1, timestampMs: 1_790_000_100_000, passwordOf: () => '*********' },
      under,
    );
    expect(masked.code).toBe(3);
    expect(await query('SELECT code FROM dead_letter')).toEqual([{ code: gone.code }]);
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'local' }]);
    const set = await pipe(
      { count: 1, timestampMs: 1_790_000_200_000, passwordOf: () => `${MARKER}-new` },
      under,
    );
    expect(set.code).toBe(0);
    expect(json(await migrate(['resume', '--json']))).toMatchObject({ state: 'done', failures: [] });
    expect(await query('SELECT manager FROM connection')).toEqual([{ manager: 'db' }]);
    expect(await query('SELECT code FROM dead_letter')).toEqual([]);
    noValues(preview, moved, masked, set);
  });

  it('killed in the middle: `resume` does the rest, and nothing is written twice', async () => {
    const aws = await startAwsStandin();
    aws.configure({ latencyMs: 40 });
    const { env, pipe, migrate, query } = setup({
      OM_SM_REGION: 'eu-west-1',
      OM_SM_ACCESS_KEY_ID: 'test',
      OM_SM_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: aws.url,
      CLAIM_MS: '6000',
      STORE_TIMEOUT_MS: '2000',
      SECRET_MANAGER_WRITES_PER_SECOND: '20',
    });
    await pipe({ count: 40 });
    const running = startCli(['migrate-secrets', '--to', 'managed-aws', '--concurrency', '2'], env);
    await waitFor(() => aws.secrets().length >= 5, { what: 'five secrets in the store', timeoutMs: 60_000 });
    running.kill();
    await running.waitForExit();
    const resumed = await migrate(['resume', '--json']);
    expect(json(resumed)).toMatchObject({ state: 'done', failures: [] });
    expect(await query(`SELECT DISTINCT manager FROM connection`)).toEqual([{ manager: 'managed-aws' }]);
    expect(aws.secrets()).toHaveLength(40);
    const revisions = await query('SELECT DISTINCT revision FROM connection');
    expect(revisions).toEqual([{ revision: 2 }]);
    await aws.close();
  }, 180_000);

  it('Ctrl-C: stops at a safe point and says how to go on', async () => {
    const aws = await startAwsStandin();
    aws.configure({ latencyMs: 40 });
    const { env, pipe, migrate } = setup({
      OM_SM_REGION: 'eu-west-1',
      OM_SM_ACCESS_KEY_ID: 'test',
      OM_SM_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL: aws.url,
      SECRET_MANAGER_WRITES_PER_SECOND: '20',
    });
    await pipe({ count: 40 });
    const running = startCli(['migrate-secrets', '--to', 'managed-aws', '--concurrency', '2'], env);
    await waitFor(() => aws.secrets().length >= 5, { what: 'five secrets in the store', timeoutMs: 60_000 });
    running.kill('SIGINT');
    expect(await running.waitForExit(60_000)).toMatchObject({ code: 1 });
    expect(running.stderr()).toContain('Go on with: connection-secrets migrate-secrets resume');
    expect(json(await migrate(['resume', '--json']))).toMatchObject({
      state: 'done',
      failures: [],
      total: 40,
    });
    await aws.close();
  }, 180_000);
});
