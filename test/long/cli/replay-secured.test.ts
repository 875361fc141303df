import kafkajs from 'kafkajs';
import { expect, it } from 'vitest';
import {
  awsClients,
  describeWith,
  endOffsets,
  produce,
  quietKafka,
  runCli,
  startCli,
  waitFor,
  UNSENT,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { changeEvent, MARKER } from '../../components/cli/support.js';
import {
  BASE_MS,
  connectionId,
  changeRows,
  loseKeyOfSent,
  publishEvents,
  replayWorld,
  rowsOf,
  runReplay,
  securedOf,
  type ReplayWorld,
} from '../../integration/cli/replay-support.js';

interface SecuredJson {
  readonly operation: string;
  readonly state: string;
  readonly published: number;
  readonly tooLarge: readonly string[];
}

async function runSecured(world: Pick<ReplayWorld, 'env'>, ...args: string[]) {
  const result = await runReplay(world, '--secured', ...args);
  return { ...result, json: result.json as unknown as SecuredJson };
}

async function publishDeletion(
  world: ReplayWorld,
  number: number,
  eventType: 'entitySoftDeleted' | 'entityDeleted',
): Promise<void> {
  const event = JSON.parse(changeEvent({ id: connectionId(number), name: `mysql-${number}` })) as object;
  const deletion = { ...event, eventType, id: `deletion-${number}`, timestamp: BASE_MS + 100 };
  await produce(world.topics.deleted, [{ key: connectionId(number), value: JSON.stringify(deletion) }]);
}

describeWith(['kafka', 'postgres'], 'replay --secured', ({ kafka }) => {
  it('publishes what the connections are now once more, as the next revision, without a store call', async () => {
    const standin = await startAwsStandin();
    const world = await replayWorld(kafka, 'postgres', {
      ...awsClients(standin.url).env,
      SECRET_MANAGER: 'managed-aws',
    });
    await publishEvents(
      world.topics.created,
      [1, 2, 3].map((number) => ({ number, at: 0 })),
    );
    await runReplay(world);
    await publishDeletion(world, 2, 'entitySoftDeleted');
    await publishDeletion(world, 3, 'entityDeleted');
    await runReplay(world, '--topic', world.topics.deleted);
    const before = await securedOf(world);
    standin.clearCalls();

    const preview = await runSecured(world, '--dry-run');
    expect(preview.json).toMatchObject({ connections: { live: 1, softDeleted: 1, deleted: 1 } });
    expect(await securedOf(world)).toEqual(before);

    const { code, json, stdout } = await runSecured(world);
    expect(code).toBe(0);
    expect(json).toMatchObject({ state: 'done', published: 3, tooLarge: [] });
    expect(standin.calls).toEqual([]);
    const after = (await securedOf(world)).slice(before.length);
    expect(after.map((event) => [event.connectionId, event.operation, event.revision])).toEqual([
      [connectionId(1), 'republished', 2],
      // Readers go by the operation: what is deleted is not to be connected to again.
      [connectionId(2), 'softDeleted', 3],
      [connectionId(3), 'deleted', 3],
    ]);
    const newest = new Map(before.map((event) => [event.connectionId, event]));
    for (const event of after) {
      const { revision, operation: _operation, time: _time, ...state } = event;
      expect(newest.get(event.connectionId)).toMatchObject(state);
      expect(revision).toBe((newest.get(event.connectionId)?.revision ?? 0) + 1);
    }
    expect(stdout).not.toContain(MARKER);
    await publishEvents(world.topics.updated, [{ number: 1, at: 1 }]);
    await runReplay(world, '--topic', world.topics.updated);
    expect((await securedOf(world)).at(-1)).toMatchObject({ revision: 3, operation: 'updated' });
    expect(await rowsOf(world, UNSENT)).toEqual([]);
    await standin.close();
  });

  it('of chosen connections and kinds; an unknown id is refused before anything happens', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    await publishEvents(
      world.topics.created,
      [1, 2].map((number) => ({ number, at: 0 })),
    );
    await runReplay(world);
    expect((await runSecured(world, '--connection', connectionId(2))).json.published).toBe(1);
    expect((await securedOf(world)).at(-1)).toMatchObject({ connectionId: connectionId(2), revision: 2 });
    expect((await runSecured(world, '--kind', 'messaging')).json.published).toBe(0);
    expect((await runSecured(world, '--kind', 'database')).json.published).toBe(2);
    for (const flags of [[], ['--dry-run']]) {
      const args = ['replay', '--secured', ...flags, '--connection', connectionId(1), 'unknown'];
      const refused = await runCli(args, { env: world.env });
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringContaining('knows no connection unknown'),
      ]);
    }
    for (const flag of [['--from-beginning'], ['--topic', 'x'], ['--partition', '0'], ['--group', 'x']]) {
      const wrong = await runCli(['replay', '--secured', ...flag], { env: world.env });
      expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--secured publishes')]);
    }
  });

  it('names what its topic does not take, publishes the rest, and ends with 1', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    await publishEvents(world.topics.created, [{ number: 1, at: 0 }]);
    const big = JSON.parse(changeEvent({ id: connectionId(2), name: 'mysql-2' })) as { entity: object };
    const value = JSON.stringify({ ...big, entity: { ...big.entity, description: 'x'.repeat(20_000) } });
    await produce(world.topics.created, [{ key: connectionId(2), value }]);
    await runReplay(world);
    const admin = quietKafka(kafka).admin();
    await admin.connect();
    const configEntries = [{ name: 'max.message.bytes', value: '10000' }];
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: world.topics.secured, configEntries }],
    });
    await admin.disconnect();
    const { code, json } = await runSecured(world);
    expect(code).toBe(1);
    expect(json).toMatchObject({ state: 'failed', published: 1, tooLarge: [connectionId(2)] });
    expect(await rowsOf(world, 'SELECT id, revision FROM connection ORDER BY id')).toEqual([
      { id: connectionId(1), revision: 2 },
      { id: connectionId(2), revision: 1 },
    ]);
  });

  it('leaves out what no key opens, names the connection, publishes what it is now, and ends with 1', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    await publishEvents(
      world.topics.created,
      [1, 2].map((number) => ({ number, at: 0 })),
    );
    await runReplay(world);
    loseKeyOfSent(world, [1]);
    const { code, json } = await runSecured(world);
    expect(code).toBe(1);
    expect(json).toMatchObject({ state: 'failed', published: 2, unopened: [connectionId(1)] });
    expect((await securedOf(world)).slice(2).map((event) => [event.connectionId, event.revision])).toEqual([
      [connectionId(1), 2],
      [connectionId(2), 2],
    ]);
    // It stays: the key may come back.
    expect(await rowsOf(world, 'SELECT revision FROM outbox WHERE sent_at_ms IS NULL')).toEqual([
      { revision: 1 },
    ]);
    const { stdout } = await runCli(['replay', '--secured'], { env: world.env });
    expect(stdout).toContain(`${connectionId(1)}: KEY_MISSING`);
  });

  it('publishes an unsent dead letter along with the state', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    await publishEvents(world.topics.created, [{ number: 1, at: 0 }]);
    await publishEvents(world.topics.updated, [{ number: 1, at: 1, password: 'null' }]);
    await runReplay(world);
    await runReplay(world, '--topic', world.topics.updated);
    const sent = (await endOffsets(world.topics.deadLetter)).get(0);
    changeRows(world, `UPDATE outbox SET sent_at_ms = NULL WHERE stream <> 'secured'`);
    const { code, json } = await runSecured(world);
    expect([code, json.state, json.published]).toEqual([0, 'done', 1]);
    expect((await endOffsets(world.topics.deadLetter)).get(0)).toBe((sent ?? 0) + 1);
  });

  it('goes on after a kill, and its revisions have no gap', async () => {
    const world = await replayWorld(kafka, 'postgres');
    const total = 1_000;
    await publishEvents(
      world.topics.created,
      Array.from({ length: total }, (_, number) => ({ number, at: 0 })),
    );
    await runReplay(world);
    const running = startCli(['replay', '--secured'], world.env);
    const end = async (): Promise<number> => (await endOffsets(world.topics.secured)).get(0) ?? 0;
    await waitFor(async () => (await end()) > total + 100, {
      what: 'some published',
      timeoutMs: 60_000,
      intervalMs: 5,
    });
    running.kill('SIGKILL');
    await running.waitForExit();
    expect(await end()).toBeLessThan(2 * total);
    const resumed = await runCli(['replay', 'resume', '--json'], { env: world.env, timeoutMs: 120_000 });
    expect(resumed.code).toBe(0);
    const revisions = new Map<string, Set<number>>();
    for (const { connectionId: id, revision } of await securedOf(world))
      revisions.set(id, (revisions.get(id) ?? new Set()).add(revision));
    expect(revisions.size).toBe(total);
    for (const seen of revisions.values()) {
      expect(seen.size).toBeGreaterThanOrEqual(2);
      expect(Math.max(...seen)).toBe(seen.size);
    }
  }, 180_000);

  it('beside a worker that writes, the last record of each connection is its newest', async () => {
    const world = await replayWorld(kafka, 'postgres');
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    await publishEvents(
      world.topics.created,
      numbers.map((number) => ({ number, at: 0 })),
    );
    const worker = startCli(['start'], world.env);
    await waitFor(async () => (await endOffsets(world.topics.secured)).get(0) === 200, {
      what: 'all secured',
      timeoutMs: 60_000,
    });
    const publishing = publishEvents(
      world.topics.updated,
      numbers.map((number) => ({ number, at: 1 })),
    );
    const { json } = await runSecured(world);
    await publishing;
    expect(json).toMatchObject({ state: 'done', published: 200 });
    await waitFor(async () => (await endOffsets(world.topics.secured)).get(0) === 600, {
      what: 'all events',
      timeoutMs: 60_000,
    });
    const last = new Map((await securedOf(world)).map((event) => [event.connectionId, event]));
    expect([...last.values()].every(({ revision }) => revision === 3)).toBe(true);
    expect((await worker.stop()).code).toBe(0);
  }, 120_000);
});
