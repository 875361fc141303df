import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  awsClients,
  describeWith,
  endOffsets,
  quietKafka,
  runCli,
  startCli,
  tmpDir,
  type DatabaseEngine,
  TABLES,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { MASK } from '../../../src/terms.js';
import { MARKER } from '../../components/cli/support.js';
import {
  connectionId,
  publishEvents,
  replayWorld,
  rowsOf,
  runReplay,
  type ReplayWorld,
} from './replay-support.js';

interface DryRunJson {
  readonly dryRun: true;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly writes: number;
  readonly connections: readonly {
    connectionId: string;
    before: { state: string; revision: number } | null;
    after: { state: string; revision: number } | null;
    outcomes: Readonly<Record<string, number>>;
    writes: number;
  }[];
}

async function dryRun(world: Pick<ReplayWorld, 'env'>, ...args: string[]) {
  const result = await runReplay(world, '--dry-run', ...args);
  return { ...result, json: result.json as unknown as DryRunJson };
}

/** Everything a dry run must leave as it is. */
async function everythingOf(world: ReplayWorld): Promise<unknown> {
  const rows = await Promise.all(
    TABLES.map((table) => rowsOf(world, `SELECT * FROM ${table} ORDER BY 1, 2`)),
  );
  const topics = [world.topics.secured, world.topics.deadLetter];
  return { rows, ends: await Promise.all(topics.map(async (topic) => [...(await endOffsets(topic))])) };
}

async function groupsOf(brokers: string, prefix: string): Promise<string[]> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    const { groups } = await admin.listGroups();
    return groups.map(({ groupId }) => groupId).filter((id) => id.startsWith(prefix));
  } finally {
    await admin.disconnect();
  }
}

describeWith(['kafka', 'postgres'], 'replay --dry-run', ({ kafka }) => {
  it.each<DatabaseEngine>(['sqlite', 'postgres'])(
    'says what would change, and changes nothing: %s',
    async (engine) => {
      const standin = await startAwsStandin();
      const world = await replayWorld(kafka, engine, {
        ...awsClients(standin.url).env,
        SECRET_MANAGER: 'managed-aws',
      });
      const { created } = world.topics;
      await publishEvents(created, [
        { number: 1, at: 0, password: `${MARKER}-a` },
        { number: 2, at: 0 },
      ]);
      expect((await runReplay(world)).json.outcomes).toEqual({ applied: 2 });
      await publishEvents(created, [
        { number: 1, at: 1, password: `${MARKER}-b` },
        // The same text again, and a mask after it: what the earlier ones of this dry run have made counts.
        { number: 1, at: 2, password: `${MARKER}-b` },
        { number: 1, at: 3, password: MASK },
        { number: 3, at: 1, password: MASK },
        { number: 4, at: 0, password: 42 },
        { number: 5, at: 0 },
      ]);
      const before = await everythingOf(world);
      standin.clearCalls();

      const { code, json, stdout, stderr } = await dryRun(world);
      expect(code).toBe(0);
      expect(json.outcomes).toEqual({ duplicate: 2, applied: 3, stale: 1, waiting: 1, refused: 1 });
      expect(json.writes).toBe(2);
      expect(json.connections).toMatchObject([
        {
          connectionId: connectionId(1),
          before: { state: 'live', revision: 1 },
          after: { state: 'live', revision: 3 },
          outcomes: { applied: 2, stale: 1, duplicate: 1 },
          writes: 1,
        },
        { connectionId: connectionId(3), before: null, after: null, outcomes: { waiting: 1 } },
        { connectionId: connectionId(4), before: null, after: null, outcomes: { refused: 1 } },
        { connectionId: connectionId(5), before: null, after: { state: 'live', revision: 1 }, writes: 1 },
      ]);
      expect(standin.calls).toEqual([]);
      expect(await everythingOf(world)).toEqual(before);
      expect(stdout + stderr).not.toContain(MARKER);
      const group = world.env['KAFKA_GROUP_ID']!;
      expect(await groupsOf(kafka, `${group}-replay`)).toEqual([]);

      const text = await runCli(['replay', '--dry-run', '--connection', connectionId(1)], { env: world.env });
      expect(text.stdout).toMatch(/1 → 3/);
      expect(text.stdout).toContain('4 left out');
      const real = await runReplay(world);
      expect(real.json).toMatchObject({ outcomes: json.outcomes, writes: json.writes });
      await standin.close();
    },
  );

  it('of an empty database makes neither database nor vault', async () => {
    const dir = tmpDir('dry-run');
    const file = join(dir, 'none.sqlite');
    const vault = join(dir, 'vault.sqlite');
    const world = await replayWorld(kafka, 'sqlite', {
      DATABASE_URL: `sqlite:${file}`,
      SECRET_MANAGER: 'local',
      LOCAL_VAULT_FILE: vault,
    });
    await publishEvents(world.topics.created, [{ number: 1, at: 0 }]);
    const { stdout } = await runCli(['replay', '--dry-run', '--json'], { env: world.env, cwd: dir });
    expect(JSON.parse(stdout)).toMatchObject({ outcomes: { applied: 1 }, writes: 1 });
    expect(readdirSync(dir)).toEqual([]);
    const postgres = await replayWorld(kafka, 'postgres');
    await publishEvents(postgres.topics.created, [{ number: 1, at: 0 }]);
    expect((await dryRun(postgres)).json.outcomes).toEqual({ applied: 1 });
    expect(
      await rowsOf(
        postgres,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
      ),
    ).toEqual([]);
  });

  it('works beside a worker on SQLite', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    const worker = startCli(['start'], world.env);
    await publishEvents(world.topics.created, [{ number: 1, at: 0 }]);
    await worker.waitForLine('"outcome":"applied"', { timeoutMs: 30_000 });
    expect((await dryRun(world)).json.outcomes).toEqual({ duplicate: 1 });
    expect((await worker.stop()).code).toBe(0);
  });
});
