import kafkajs from 'kafkajs';
import { expect, it } from 'vitest';
import {
  committedOffsets,
  createDatabase,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  offsetRanges,
  quietKafka,
  queryDatabase,
  readAll,
  runCli,
  startCli,
  waitFor,
  type TestProcess,
} from '../../harness/index.js';
import { launchKafka } from '../../harness/parts/kafka.js';
import { MARKER } from '../../components/cli/support.js';
import {
  connectionId,
  publishEvents,
  replayWorld,
  rowsOf,
  runReplay,
  securedOf,
  type ReplayWorld,
} from '../../integration/cli/replay-support.js';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;
const PURGED = { timeoutMs: 90_000, intervalMs: 500 };
const PURGE = { PURGE_SOURCE: 'secured' };

async function lowOf({ env }: ReplayWorld, topic: string): Promise<number | undefined> {
  return (await offsetRanges(topic, env['KAFKA_BROKERS']!)).get(0)?.low;
}

/** The same topics and group, and a purge. */
async function onEmptyDatabase(world: ReplayWorld): Promise<ReplayWorld> {
  const database = await createDatabase('postgres');
  return { ...world, database, env: { ...world.env, ...PURGE, DATABASE_URL: database.url } };
}

const events = (numbers: readonly number[], at = 0) => numbers.map((number) => ({ number, at }));

/** Works until the group has committed so many records of `created`. */
async function workUntil(
  world: ReplayWorld,
  committed: number,
  env: Readonly<Record<string, string>> = {},
): Promise<TestProcess> {
  const worker = startCli(['start'], { ...world.env, ...env });
  const group = env['KAFKA_GROUP_ID'] ?? world.env['KAFKA_GROUP_ID']!;
  const on = { brokers: world.env['KAFKA_BROKERS']! };
  await waitFor(async () => (await committedOffsets(group, world.topics.created, on)).get(0) === committed, {
    what: `offset ${committed}`,
    timeoutMs: 60_000,
    intervalMs: 250,
  });
  return worker;
}

describeWith(['kafka', 'postgres'], 'PURGE_SOURCE=secured', ({ kafka }) => {
  it('deletes what is secured, kept or dead, counts it, and goes on from its own offset', async () => {
    const world = await replayWorld(kafka, 'postgres', PURGE);
    const { created } = world.topics;
    await publishEvents(created, [
      ...events([0, 1, 2, 3]),
      { number: 4, at: 0, password: 42 },
      { number: 5, at: 1, password: '*********' },
    ]);
    // Killed with everything secured and nothing deleted yet: nothing is lost by that.
    const first = await workUntil(world, 6);
    first.kill('SIGKILL');
    await first.waitForExit();
    expect(await lowOf(world, created)).toBe(0);

    const reader = freshName('reader');
    const admin = quietKafka(kafka).admin();
    await admin.connect();
    await admin.setOffsets({ groupId: reader, topic: created, partitions: [{ partition: 0, offset: '2' }] });
    await admin.disconnect();

    const worker = await workUntil(world, 6);
    const http = JSON.parse(await worker.waitForLine('"msg":"http"')) as { url: string };
    await waitFor(async () => (await lowOf(world, created)) === 6, { what: 'the purge', ...PURGED });
    expect(await readAll(created)).toEqual([]);
    const warning = await worker.waitForLine('that these groups have not read');
    expect((JSON.parse(warning) as { groups: string[] }).groups).toContain(reader);
    const metrics = await (await fetch(`${http.url}/metrics`)).text();
    expect(metrics).toContain(`connection_secrets_purged_offset{topic="${created}",partition="0"} 6`);
    expect(metrics).toContain('connection_secrets_purged_records_total 6');

    await publishEvents(created, [{ number: 5, at: 0 }, ...events([0], 2)]);
    await waitFor(async () => (await securedOf(world)).length === 7, {
      what: 'what came after',
      timeoutMs: 30_000,
    });
    // The masked one waited in the database, not in the topic.
    const secured = await securedOf(world);
    expect(secured.filter((event) => event.connectionId === connectionId(5))).toHaveLength(2);
    expect(await rowsOf(world, 'SELECT code FROM dead_letter')).toEqual([{ code: 'FIELD_NOT_A_STRING' }]);
    const retried = await runCli(['dead-letters', 'retry', '--all'], { env: world.env });
    expect(retried.code).toBe(0);
    await waitFor(
      async () => (await rowsOf(world, 'SELECT attempts FROM dead_letter'))[0]?.['attempts'] === 2,
      { what: 'the dead letter to be tried again', timeoutMs: 30_000 },
    );
    expect((await worker.stop()).code).toBe(0);
    expect(worker.stdout() + worker.stderr()).not.toContain(MARKER);
  }, 240_000);

  it('is held by what is not published, by a running replay, and goes on afterwards', async () => {
    const world = await replayWorld(kafka, 'postgres', PURGE);
    const { created } = world.topics;
    await publishEvents(created, events([0, 1]));
    const first = await workUntil(world, 2);
    expect((await first.stop()).code).toBe(0);
    const { database } = world;
    const later = Date.now() + 1_000_000;
    await queryDatabase(
      database,
      `UPDATE connection SET unpublished_since_ms = 1 WHERE id = (SELECT MIN(id) FROM connection)`,
    );
    await queryDatabase(
      database,
      `UPDATE connection SET claim_owner = 'test', claim_expires_at_ms = ${later}0, claim_epoch = claim_epoch + 1`,
    );
    const worker = startCli(['start'], world.env);
    await worker.waitForLine('something is not published yet', { timeoutMs: 90_000 });
    expect(await lowOf(world, created)).toBe(0);
    await queryDatabase(
      database,
      `INSERT INTO operation (id, kind, state, parameters, progress, created_at_ms, updated_at_ms)
       VALUES ('reads', 'replay', 'running', '{}', '{}', 0, ${later}0)`,
    );
    await queryDatabase(database, 'UPDATE connection SET unpublished_since_ms = NULL');
    await worker.waitForLine('a replay reads them', { timeoutMs: 90_000 });
    expect(await lowOf(world, created)).toBe(0);
    await queryDatabase(database, "DELETE FROM operation WHERE id = 'reads'");
    await waitFor(async () => (await lowOf(world, created)) === 2, { what: 'the purge', ...PURGED });
    expect((await worker.stop()).code).toBe(0);
  }, 240_000);

  it('keeps what this database has not handled: a new one, or one restored from a backup; a replay mends it', async () => {
    const world = await replayWorld(kafka, 'postgres');
    const { created } = world.topics;
    await publishEvents(created, events([0, 1, 2]));
    const old = await workUntil(world, 3);
    expect((await old.stop()).code).toBe(0);

    const empty = await onEmptyDatabase(world);
    await publishEvents(created, events([3]));
    const worker = await workUntil(empty, 4);
    await worker.waitForLine('this database has not handled the offsets 0 to 2', { timeoutMs: 90_000 });
    expect(await lowOf(empty, created)).toBe(0);
    expect((await runReplay(empty)).json.outcomes).toEqual({ applied: 3, duplicate: 1 });
    await waitFor(async () => (await lowOf(empty, created)) === 4, { what: 'the purge', ...PURGED });
    expect((await worker.stop()).code).toBe(0);

    expect((await runCli(['doctor', '--restored'], { env: empty.env })).stdout).toContain('generation');
    await publishEvents(created, events([4]));
    const restored = await workUntil(empty, 5);
    await restored.waitForLine('run `connection-secrets replay` first', { timeoutMs: 90_000 });
    expect(await lowOf(empty, created)).toBe(4);
    expect((await runReplay(empty)).json.outcomes).toEqual({ duplicate: 1 });
    await waitFor(async () => (await lowOf(empty, created)) === 5, { what: 'the purge', ...PURGED });
    expect((await restored.stop()).code).toBe(0);
  }, 300_000);

  it('a replay of a part, or one that was killed, says nothing of the rest', async () => {
    const world = await replayWorld(kafka, 'postgres');
    const { created } = world.topics;
    await publishEvents(created, events([0, 1, 2]));
    const old = await workUntil(world, 3);
    expect((await old.stop()).code).toBe(0);

    const empty = await onEmptyDatabase(world);
    expect((await runReplay(empty, '--connection', connectionId(0))).json.outcomes).toEqual({ applied: 1 });
    const worker = await workUntil(empty, 3);
    await worker.waitForLine('this database has not handled the offsets 0 to 2', { timeoutMs: 90_000 });
    expect(await lowOf(empty, created)).toBe(0);
    expect((await worker.stop()).code).toBe(0);
  }, 240_000);
});

describeWithOwn(['kafka'], 'PURGE_SOURCE=secured without permission', () => {
  it('says so, keeps the records and works on', async () => {
    const own = await launchKafka({
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'allow.everyone.if.no.acl.found': 'true',
      },
    });
    disposeLater(() => own.dispose());
    const brokers = own.address;
    const world = await replayWorld(brokers, 'sqlite', PURGE);
    const { created } = world.topics;
    const admin = quietKafka(brokers).admin();
    await admin.connect();
    await admin.createAcls({
      acl: [
        {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: created,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:ANONYMOUS',
          host: '*',
          operation: AclOperationTypes.DELETE,
          permissionType: AclPermissionTypes.DENY,
        },
        {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: created,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:ANONYMOUS',
          host: '*',
          operation: AclOperationTypes.ALL,
          permissionType: AclPermissionTypes.ALLOW,
        },
      ],
    });
    await admin.disconnect();
    await publishEvents(created, events([0, 1]), { brokers });
    const worker = await workUntil(world, 2);
    const line = await worker.waitForLine('purge-source failed', { timeoutMs: 90_000 });
    expect(line).toContain(`deleting records of ${created} failed: TOPIC_AUTHORIZATION_FAILED`);
    expect(await lowOf(world, created)).toBe(0);
    await publishEvents(created, events([2]), { brokers });
    await waitFor(async () => (await securedOf(world)).length === 3, {
      what: 'the next event',
      timeoutMs: 30_000,
    });
    expect((await worker.stop()).code).toBe(0);
  }, 240_000);
});
