import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  committedOffsets,
  createDatabase,
  describeWith,
  endOffsets,
  produce,
  queryDatabase,
  readAll,
  waitFor,
} from '../harness/index.js';
import { createWorld, securedData, serviceEvent, startWorker, type World } from '../e2e/fixture.js';

const AT = 1_790_000_000_000;
/** `npm run test:flood` has the full size: 10,000. */
const EVENTS = Number(process.env.TEST_FLOOD_EVENTS ?? 4_000);
const CONNECTIONS = 500;
/** A good one may be behind this much of the flood, not behind all of it. */
const BOUND_MS = 20_000;
const MEGABYTE = 1024 * 1024;

/** Good and bad by turns: no event, no readable field, a mask that stands for nothing. */
function flood(): { key: string; value: string }[] {
  return Array.from({ length: EVENTS }, (_, number) => {
    const id = `c${number % CONNECTIONS}`;
    if (number % 2 === 0) {
      const event = serviceEvent({ id, name: id, password: `p${number}`, timestampMs: AT + number });
      return { key: id, value: JSON.stringify(event) };
    }
    const bad = `bad-${number}`;
    if (number % 4 === 1) return { key: bad, value: `{"password":"p${number}"` };
    const event = serviceEvent({ id: bad, name: bad, password: 'null', timestampMs: AT + number });
    return { key: bad, value: JSON.stringify(event) };
  });
}

function residentMegabytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kilobytes) * 1024) / MEGABYTE;
}

async function isCommitted(world: World, brokers: string): Promise<boolean> {
  const ends = await endOffsets(world.topics.created, { brokers });
  const group = world.env['KAFKA_GROUP_ID'] ?? '';
  const committed = await committedOffsets(group, world.topics.created, { brokers });
  return [...ends].every(([partition, end]) => end === 0 || committed.get(partition) === end);
}

describeWith(['kafka', 'postgres'], 'a flood of bad events', ({ kafka: brokers }) => {
  it('does not stop the good ones, one line each and one for a dead letter, memory flat', async () => {
    const database = await createDatabase('postgres');
    const world = await createWorld({ brokers, databaseUrl: database.url, manager: 'db', partitions: 3 });
    const worker = startWorker(world);
    await worker.waitForLine(/"joined the group"/, { timeoutMs: 60_000 });
    const records = flood();
    for (let start = 0; start < EVENTS; start += 1_000)
      await produce(world.topics.created, records.slice(start, start + 1_000), { brokers });
    // In the middle of it, one that somebody waits for.
    const sentAtMs = Date.now();
    const urgent = serviceEvent({ id: 'urgent', name: 'urgent', password: 'x', timestampMs: AT });
    await produce(world.topics.updated, [{ key: 'urgent', value: JSON.stringify(urgent) }], { brokers });
    const halfway = waitFor(
      async () =>
        (
          await queryDatabase(
            { url: database.url },
            `SELECT 1 FROM connection WHERE id = 'urgent' AND revision = 1`,
          )
        ).length === 1,
      { what: 'the good one on another topic', timeoutMs: 120_000, intervalMs: 250 },
    );
    await halfway;
    const tookMs = Date.now() - sentAtMs;
    const middle = residentMegabytes(worker.pid);
    await waitFor(() => isCommitted(world, brokers), {
      what: 'the whole flood',
      timeoutMs: 240_000,
      intervalMs: 500,
    });
    const after = residentMegabytes(worker.pid);
    console.log(
      `flood: the good one took ${tookMs} ms; ${Math.round(middle)} MB, then ${Math.round(after)} MB`,
    );
    expect(tookMs).toBeLessThan(BOUND_MS);
    expect(after).toBeLessThan(middle + 150);

    const dead = await readAll(world.topics.deadLetter, { brokers });
    expect(dead).toHaveLength(EVENTS / 2);
    const [row] = await queryDatabase({ url: database.url }, 'SELECT COUNT(*) AS total FROM dead_letter');
    expect(Number(row?.['total'])).toBe(EVENTS / 2);
    const secured = (await readAll(world.topics.secured, { brokers })).map(securedData);
    // What came later in the order of a connection may have been applied first: then the earlier is stale.
    const newest = new Map<string, number>();
    for (const { connectionId, revision } of secured) newest.set(connectionId, revision);
    expect(newest.size).toBe(CONNECTIONS / 2 + 1);
    expect((await worker.stop()).code).toBe(0);
    const lines = worker.stdout().trim().split('\n');
    const perEvent = lines.filter((line) => line.includes('"msg":"event"'));
    expect(perEvent).toHaveLength(EVENTS / 2 + 1);
    const perDeadLetter = lines.filter((line) => line.includes('"msg":"dead letter"'));
    expect(perDeadLetter).toHaveLength(EVENTS / 2);
    expect(lines.length - perEvent.length - perDeadLetter.length).toBeLessThan(100);
  }, 420_000);
});
