import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Partitioners } from 'kafkajs';
import { expect, it } from 'vitest';
import {
  committedOffsets,
  describeWith,
  freePort,
  freshName,
  produce,
  quietKafka,
  readAll,
  runCli,
  startCli,
  tmpDir,
  waitFor,
} from '../../harness/index.js';
import { MARKER } from '../../components/cli/support.js';
import {
  BASE_MS,
  connectionId,
  eventOf,
  publishEvents,
  replayWorld,
  rowsOf,
  runReplay,
  securedOf,
  type ReplayWorld,
} from '../../integration/cli/replay-support.js';

const REVISIONS = 'SELECT id, revision FROM connection ORDER BY id';

const idsOf = async (world: ReplayWorld): Promise<unknown[]> =>
  (await rowsOf(world, REVISIONS)).map((row) => row['id']);

/** Records of one transaction, whose end is a marker in the log; `isAborted`: readers see none of them. */
async function produceInTransaction(
  brokers: string,
  topic: string,
  records: readonly { number: number; at: number }[],
  isAborted = false,
): Promise<void> {
  const producer = quietKafka(brokers).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    transactionalId: freshName('transaction'),
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  try {
    const transaction = await producer.transaction();
    const messages = records.map(({ number, at }) => ({
      key: connectionId(number),
      value: eventOf(number, at),
    }));
    await transaction.send({ topic, messages });
    await (isAborted ? transaction.abort() : transaction.commit());
  } finally {
    await producer.disconnect();
  }
}

async function deleteRecords(brokers: string, topic: string, offset: number): Promise<void> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  } finally {
    await admin.disconnect();
  }
}

describeWith(['kafka', 'postgres'], 'replay', ({ kafka }) => {
  it('builds an empty database from the topics; again, it changes nothing', async () => {
    const world = await replayWorld(kafka);
    await publishEvents(
      world.topics.created,
      [1, 2, 3].map((number) => ({ number, at: 0 })),
    );
    await publishEvents(
      world.topics.created,
      [1, 2, 1].map((number, index) => ({ number, at: index + 1 })),
    );

    const first = await runReplay(world);
    expect(first.code).toBe(0);
    expect(first.json).toMatchObject({ state: 'done', outcomes: { applied: 3, stale: 3 }, filtered: 0 });
    expect(first.json.positions.every(({ position, end }) => position === end)).toBe(true);
    const before = await rowsOf(world, REVISIONS);
    expect(before.map((row) => row['id'])).toEqual([1, 2, 3].map(connectionId));
    expect(await securedOf(world)).toHaveLength(3);

    const second = await runReplay(world);
    expect(second.json).toMatchObject({ state: 'done', outcomes: { duplicate: 6 }, writes: 0 });
    expect(await rowsOf(world, REVISIONS)).toEqual(before);
    expect(await securedOf(world)).toHaveLength(3);
    expect(first.stdout + first.stderr + second.stdout + second.stderr).not.toContain(MARKER);

    const status = await runCli(['replay', 'status', '--json'], { env: world.env });
    expect(JSON.parse(status.stdout)).toMatchObject({
      items: [
        { id: second.json.id, state: 'done' },
        { id: first.json.id, state: 'done' },
      ],
    });
    const table = await runCli(['replay', 'status'], { env: world.env });
    expect(table.stdout).toContain(second.json.id.slice(0, 8));
  });

  it('writes the newest value only, and what a newest mask stands for', async () => {
    const vault = join(tmpDir('replay'), 'values.vault');
    const world = await replayWorld(kafka, 'postgres', { SECRET_MANAGER: 'local', LOCAL_VAULT_FILE: vault });
    const { created, updated } = world.topics;
    await publishEvents(created, [
      { number: 1, at: 0 },
      { number: 2, at: 0 },
    ]);
    await publishEvents(updated, [
      { number: 1, at: 1 },
      { number: 1, at: 2 },
      { number: 2, at: 1 },
      { number: 2, at: 2, password: '*********' },
    ]);
    const { json } = await runReplay(world);
    expect(json).toMatchObject({ state: 'done', writes: 2, outcomes: { applied: 3, stale: 3 } });
    const values = (await securedOf(world)).map(({ entity }) => JSON.stringify(entity));
    expect(values).toHaveLength(3);
    expect((await runReplay(world)).json).toMatchObject({ writes: 0, outcomes: { duplicate: 6 } });
    // Ended behind the pass that the positions tell: what is stale is handled all the same.
    await rowsOf(world, `UPDATE operation SET state = 'interrupted'`);
    await rowsOf(world, `DELETE FROM inbox WHERE outcome = 'stale'`);
    const resumed = await runCli(['replay', 'resume', json.id], { env: world.env });
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await rowsOf(world, `SELECT event_id FROM inbox WHERE outcome = 'stale'`)).toHaveLength(3);
  });

  it('begins at an offset, at a time, or with some topics and partitions', async () => {
    const world = await replayWorld(kafka);
    const events = [0, 1, 2, 3].map((number) => ({ number, at: 0, timestampMs: BASE_MS + number * 1_000 }));
    await publishEvents(world.topics.created, events);
    await publishEvents(world.topics.updated, [{ number: 9, at: 1, timestampMs: BASE_MS }]);

    const at = await runReplay(world, '--topic', world.topics.created, '--from-offset', '3');
    expect(at.json).toMatchObject({
      outcomes: { applied: 1 },
      positions: [{ from: 3, position: 4, end: 4 }],
    });
    const since = await runReplay(world, '--from-time', new Date(BASE_MS + 1_500).toISOString());
    expect(since.json.outcomes).toEqual({ applied: 1, duplicate: 1 });
    expect(await idsOf(world)).toEqual([2, 3].map(connectionId));
    const beyond = await runReplay(world, '--topic', world.topics.created, '--from-offset', '99');
    expect(beyond.json).toMatchObject({ state: 'done', outcomes: {}, positions: [{ from: 4, end: 4 }] });
    const partition = await runReplay(world, '--partition', '0', '--topic', world.topics.updated);
    expect(partition.json.outcomes).toEqual({ applied: 1 });
  });

  it('handles what a filter names, and leaves no trace of the rest', async () => {
    const world = await replayWorld(kafka);
    await publishEvents(
      world.topics.created,
      [1, 2, 3].map((number) => ({ number, at: 0 })),
    );
    await produce(world.topics.created, [
      { key: connectionId(4), value: `{"broken": "${MARKER}` },
      { key: connectionId(1), value: null },
    ]);
    const one = await runReplay(world, '--connection', connectionId(2), connectionId(4));
    expect(one.json).toMatchObject({ outcomes: { applied: 1, refused: 1 }, filtered: 3 });
    expect(one.code).toBe(0);
    expect(await idsOf(world)).toEqual([2, 4].map(connectionId));
    const none = await runReplay(world, '--kind', 'messaging');
    expect(none.json).toMatchObject({ outcomes: {}, filtered: 5 });
    expect(await idsOf(world)).toEqual([2, 4].map(connectionId));
    const kind = await runReplay(world, '--kind', 'messaging', 'database');
    expect(kind.json).toMatchObject({ outcomes: { applied: 2, duplicate: 1 }, filtered: 2 });
  });

  it('tries again what was refused before', async () => {
    const world = await replayWorld(kafka);
    await publishEvents(world.topics.created, [{ number: 1, at: 0, password: 42 }]);
    expect((await runReplay(world)).json.outcomes).toEqual({ refused: 1 });
    const again = await runReplay(world);
    expect(again.json.outcomes).toEqual({ refused: 1 });
    const [letter] = await rowsOf(world, 'SELECT code, attempts FROM dead_letter');
    expect(letter).toEqual({ code: 'FIELD_NOT_A_STRING', attempts: 2 });
    expect(await readAll(world.topics.deadLetter)).toHaveLength(1);
    expect(again.code).toBe(0);
  });

  it('ends where records are gaps: markers of transactions, aborted ones, deleted ones', async () => {
    const world = await replayWorld(kafka);
    const { created, updated, deleted } = world.topics;
    await produceInTransaction(kafka, created, [
      { number: 1, at: 0 },
      { number: 2, at: 0 },
    ]);
    await produceInTransaction(kafka, created, [{ number: 3, at: 0 }], true);
    await publishEvents(
      updated,
      [1, 2].map((number) => ({ number, at: 1 })),
    );
    await deleteRecords(kafka, updated, 1);
    await publishEvents(deleted, [{ number: 5, at: 5 }]);
    await deleteRecords(kafka, deleted, 1);

    const { json } = await runReplay(world);
    expect(json.state).toBe('done');
    // Of the second connection both records are there, on two topics: whichever comes last is stale, or applied.
    const { applied = 0, stale = 0 } = json.outcomes;
    expect(applied + stale).toBe(3);
    // Markers, and what was deleted before it began, are no loss of this replay.
    expect(json).toMatchObject({ deleted: 0 });
    expect(json.positions).toMatchObject([
      { topic: created, from: 0, position: 5, end: 5 },
      { topic: updated, from: 1, position: 2, end: 2 },
      { topic: deleted, from: 1, position: 1, end: 1 },
    ]);
    expect(await idsOf(world)).toEqual([1, 2].map(connectionId));
  });

  it('is not kept waiting by records that are deleted while it reads', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    const events = Array.from({ length: 400 }, (_, number) => ({ number, at: 0 }));
    await publishEvents(world.topics.created, events);
    const running = startCli(['replay', '--json', '--concurrency', '1'], world.env);
    await running.waitForLine(/^replay /, { stream: 'stderr' });
    running.suspend();
    await deleteRecords(kafka, world.topics.created, 400);
    running.resume();
    expect(await running.waitForExit(60_000)).toEqual({ code: 0, signal: null });
    const answer = JSON.parse(running.stdout()) as { state: string; outcomes: object; deleted: number };
    expect(answer).toMatchObject({ state: 'done' });
    const { applied = 0 } = answer.outcomes as { applied?: number };
    // What it did not read any more it says.
    expect(applied + answer.deleted).toBe(400);
    expect(answer.deleted).toBeGreaterThan(0);
  });

  it('goes on after a kill where it was, and after Ctrl-C', async () => {
    const world = await replayWorld(kafka, 'postgres');
    // Sixteen at a time take long enough to be interrupted twice.
    const total = 4_000;
    // One send takes no more than a megabyte.
    for (let from = 0; from < total; from += 1_000)
      await publishEvents(
        world.topics.created,
        Array.from({ length: 1_000 }, (_, at) => ({ number: from + at, at: 0 })),
      );
    const slow = ['replay', '--concurrency', '1'];
    const running = startCli(slow, world.env);
    const positionOf = async (): Promise<number> => {
      const [row] = await rowsOf(world, 'SELECT progress FROM operation');
      const progress = JSON.parse(String(row?.['progress'])) as { positions: { position: number }[] };
      return progress.positions[0]?.position ?? 0;
    };
    await waitFor(async () => (await positionOf()) > 0, { what: 'a position', timeoutMs: 60_000 });
    running.kill('SIGKILL');
    await running.waitForExit();
    const reached = await positionOf();
    expect(reached).toBeLessThan(total);

    const resumed = startCli([...slow.slice(0, 1), 'resume', ...slow.slice(1), '--json'], world.env);
    await waitFor(async () => (await positionOf()) > reached, { what: 'progress', timeoutMs: 60_000 });
    process.kill(resumed.pid, 'SIGINT');
    expect((await resumed.waitForExit()).code).toBe(1);
    const interrupted = JSON.parse(resumed.stdout()) as { state: string; id: string };
    expect(interrupted.state).toBe('interrupted');
    expect((await runCli(['replay', 'status'], { env: world.env })).stdout).toContain('interrupted');

    const text = await runCli(['replay', 'resume', interrupted.id.slice(0, 8)], { env: world.env });
    expect(text.code).toBe(0);
    expect(text.stdout).toContain('applied');
    expect(await idsOf(world)).toHaveLength(total);
    // What was sent when the kill came and not marked yet is sent again: the same revision, which readers drop.
    const secured = await securedOf(world);
    expect(new Set(secured.map(({ connectionId: id }) => id)).size).toBe(total);
    expect(secured.every(({ revision }) => revision === 1)).toBe(true);
    const nothing = await runCli(['replay', 'resume'], { env: world.env });
    expect(nothing.code).toBe(2);
    expect(nothing.stderr).toContain('there is no unfinished replay');
    const ended = await runCli(['replay', 'resume', interrupted.id], { env: world.env });
    expect(ended.stderr).toContain('has ended');
  }, 180_000);

  it('under another manager moves the secrets there; a dry run of it changes nothing', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    await publishEvents(
      world.topics.created,
      [1, 2].map((number) => ({ number, at: 0 })),
    );
    await runReplay(world);
    const vault = join(tmpDir('vault'), 'vault.sqlite');
    const other = { ...world, env: { ...world.env, SECRET_MANAGER: 'local', LOCAL_VAULT_FILE: vault } };
    const managers = async (): Promise<unknown[]> =>
      (
        await rowsOf(
          world,
          "SELECT manager FROM connection UNION ALL SELECT value FROM setting WHERE name = 'active_manager'",
        )
      ).map((row) => row['manager']);
    expect((await runReplay(other, '--dry-run')).code).toBe(0);
    expect(await managers()).toEqual(['db', 'db', 'db']);
    expect(existsSync(vault)).toBe(false);

    expect((await runReplay(other)).json).toMatchObject({ state: 'done' });
    expect(await managers()).toEqual(['local', 'local', 'local']);
    expect((await securedOf(world)).slice(2)).toMatchObject([{ manager: 'local' }, { manager: 'local' }]);
    const reference = `secret:/openmetadata/database/mysql-1/password`;
    expect((await runCli(['resolve', reference], { env: other.env })).stdout).toBe(`${MARKER}-1-0\n`);
  });

  it('works beside a worker, whose group it does not touch', async () => {
    const world = await replayWorld(kafka, 'postgres');
    await publishEvents(
      world.topics.created,
      Array.from({ length: 600 }, (_, number) => ({ number, at: 0 })),
    );
    const worker = startCli(['start'], world.env);
    const group = world.env['KAFKA_GROUP_ID']!;
    const committed = async (): Promise<number> =>
      (await committedOffsets(group, world.topics.created)).get(0) ?? 0;
    await waitFor(async () => (await committed()) === 600, { what: 'all handled', timeoutMs: 60_000 });

    const running = startCli(['replay', '--json'], world.env);
    await running.waitForLine(/^replay /, { stream: 'stderr' });
    await publishEvents(world.topics.updated, [{ number: 1, at: 1 }]);
    await waitFor(async () => (await securedOf(world)).some(({ revision }) => revision === 2), {
      what: 'the new event',
      timeoutMs: 20_000,
    });
    expect((await running.waitForExit(60_000)).code).toBe(0);
    const { outcomes } = JSON.parse(running.stdout()) as { outcomes: Record<string, number> };
    expect(outcomes['duplicate']).toBeGreaterThanOrEqual(600);
    expect(await committed()).toBe(600);
    expect(await securedOf(world)).toHaveLength(601);
    expect((await worker.stop()).code).toBe(0);
    const groups = await listGroups(kafka);
    expect(groups.filter((name) => name.startsWith(`${group}-replay`))).toEqual([]);
  }, 120_000);

  it('refuses a group that somebody uses', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    const group = world.env['KAFKA_GROUP_ID']!;
    const own = await runCli(['replay', '--group', group], { env: world.env });
    expect(own.code).toBe(2);
    expect(own.stderr).toContain("is the workers' own group");
    await publishEvents(world.topics.created, [{ number: 1, at: 0 }]);
    const other = freshName('other');
    const admin = quietKafka(kafka).admin();
    await admin.connect();
    const partitions = [{ partition: 0, offset: '1' }];
    await admin.setOffsets({ groupId: other, topic: world.topics.created, partitions });
    const used = await runCli(['replay', '--group', other], { env: world.env });
    expect(used.code).toBe(2);
    expect(used.stderr).toContain('is in use');
    expect((await committedOffsets(other, world.topics.created)).get(0)).toBe(1);
    const free = freshName('free');
    expect((await runReplay(world, '--group', free)).json.outcomes).toEqual({ applied: 1 });
    await admin.disconnect();
  });

  it('says what is wrong: a database in use, missing topics, no broker, wrong flags', async () => {
    const world = await replayWorld(kafka, 'sqlite');
    const worker = startCli(['start'], world.env);
    await worker.waitForLine('"msg":"started"', { timeoutMs: 30_000 });
    const inUse = await runCli(['replay'], { env: world.env });
    expect([inUse.code, inUse.stderr]).toEqual([2, expect.stringContaining('DATABASE_IN_USE')]);
    await worker.stop();

    const missing = freshName('missing');
    const nowhere = await runCli(['replay', '--json'], { env: { ...world.env, TOPIC_CREATED: missing } });
    expect(nowhere.code).toBe(2);
    expect(nowhere.stderr).toContain('TOPICS_INVALID');
    expect(nowhere.stderr).toContain(missing);

    const down = { ...world.env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` };
    const unreachable = await runCli(['replay'], { env: down });
    expect([unreachable.code, unreachable.stderr]).toEqual([
      1,
      expect.stringContaining('BROKER_UNAVAILABLE'),
    ]);

    for (const [args, message] of [
      [['--from-offset', '1', '--from-time', '1h'], 'one point to begin at'],
      [['--from-offset', '-1'], 'A whole number'],
      [['--from-time', 'yesterday'], 'A date such as'],
      [['--kind', 'toaster'], 'Allowed choices'],
      [['--topic', 'not-ours'], 'is not a source topic'],
      [['--partition', '7'], 'no selected topic has partition 7'],
      [['everything'], 'USAGE_INVALID'],
      [['--nonsense'], 'unknown option'],
    ] as const) {
      const wrong = await runCli(['replay', ...args], { env: world.env });
      expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    expect((await runCli(['replay', 'status', '--json'], { env: world.env })).stdout).toContain('"total": 0');
  });
});

async function listGroups(brokers: string): Promise<string[]> {
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    return (await admin.listGroups()).groups.map(({ groupId }) => groupId);
  } finally {
    await admin.disconnect();
  }
}
