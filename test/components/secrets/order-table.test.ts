import { beforeAll, describe, expect, it } from 'vitest';
import type { SourceRecord } from '../../../src/terms.js';
import { eventRecord, MASKED, type EventSpec } from '../pipeline/events.js';
import { configOf } from '../pipeline/sent-event.js';
import { Bench, NEVER } from './fixture.js';

/** One state of a connection as the server published it: `place` is where its record lies. */
interface Published extends EventSpec {
  readonly place: readonly [topic: 'created' | 'updated' | 'deleted', partition: number, offset: number];
}

/** What a reader of the server sees after the last of them. */
interface Seen {
  /** The name in the entity; null: it is deleted. */
  readonly name: 'x' | 'y' | null;
  readonly host?: string;
  readonly password?: string | null;
}

interface History {
  readonly title: string;
  readonly events: readonly Published[];
  readonly seen: Seen;
}

const A = 'MARK-a';
const B = 'MARK-b';
const created = (at: number, version: number, password: string, host = 'h1'): Published => ({
  at,
  version,
  password,
  config: { host },
  eventType: 'entityCreated',
  place: ['created', 0, 10],
  name: 'x',
});
const updated = (
  at: number,
  version: number,
  password: string | null,
  host: string,
  offset: number,
  name = 'x',
): Published => ({
  at,
  version,
  password,
  config: { host },
  place: ['updated', 0, offset],
  name,
});
const deleted = (at: number, version: number, offset = 10): Published => ({
  at,
  version,
  eventType: 'entityDeleted',
  place: ['deleted', 0, offset],
  name: 'x',
});

const HISTORIES: readonly History[] = [
  {
    title: 'two changes under one version (edits of one session, merged)',
    events: [created(1, 0.1, A), updated(2, 0.2, 'MARK-x', 'h2', 1), updated(3, 0.2, B, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: B },
  },
  {
    title: 'a version that goes back (a change undone)',
    events: [created(1, 0.1, A), updated(2, 0.2, 'MARK-x', 'h2', 1), updated(3, 0.1, B, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: B },
  },
  {
    title: 'A → B → A',
    events: [created(1, 0.1, A), updated(2, 0.2, B, 'h1', 1), updated(3, 0.3, A, 'h1', 2)],
    seen: { name: 'x', host: 'h1', password: A },
  },
  {
    title: 'delete at an equal version and time',
    events: [created(1, 0.1, A), updated(2, 0.2, B, 'h2', 1), deleted(2, 0.2)],
    seen: { name: null },
  },
  {
    title: 'equal timestamps: the version decides',
    events: [created(1, 0.1, A), updated(1, 0.2, 'MARK-x', 'h2', 1), updated(1, 0.3, B, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: B },
  },
  {
    title: 'equal timestamps and versions in one partition: the offset decides',
    events: [updated(1, 0.1, A, 'h1', 1), updated(1, 0.1, 'MARK-x', 'h2', 2), updated(1, 0.1, B, 'h3', 3)],
    seen: { name: 'x', host: 'h3', password: B },
  },
  {
    title: 'an updated with a mask that overtakes its created',
    events: [created(1, 0.1, A), updated(2, 0.2, MASKED, 'h2', 1), updated(3, 0.3, MASKED, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: A },
  },
  {
    title: 'a new password between masks',
    events: [
      created(1, 0.1, A),
      updated(2, 0.2, MASKED, 'h2', 1),
      updated(3, 0.3, B, 'h3', 2),
      updated(4, 0.4, MASKED, 'h4', 3),
    ],
    seen: { name: 'x', host: 'h4', password: B },
  },
  {
    title: 'cleared, and masked no more',
    events: [created(1, 0.1, A), updated(2, 0.2, null, 'h2', 1), updated(3, 0.3, null, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: null },
  },
  {
    title: 'cleared and set again',
    events: [created(1, 0.1, A), updated(2, 0.2, null, 'h2', 1), updated(3, 0.3, B, 'h3', 2)],
    seen: { name: 'x', host: 'h3', password: B },
  },
  {
    title: 'renamed under a mask, then changed',
    events: [created(1, 0.1, A), updated(2, 0.2, MASKED, 'h2', 1, 'y'), updated(3, 0.3, B, 'h3', 2, 'y')],
    seen: { name: 'y', host: 'h3', password: B },
  },
  {
    title: 'renamed under a mask, and nothing else',
    events: [created(1, 0.1, A), updated(2, 0.2, B, 'h2', 1), updated(3, 0.3, MASKED, 'h3', 2, 'y')],
    seen: { name: 'y', host: 'h3', password: B },
  },
  {
    title: 'deleted and made anew under the same id',
    events: [created(1, 0.1, A), deleted(2, 0.2), updated(3, 0.1, B, 'h3', 1)],
    seen: { name: 'x', host: 'h3', password: B },
  },
];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) =>
    permutations([...items.slice(0, at), ...items.slice(at + 1)]).map((rest) => [item, ...rest]),
  );
}

let bench: Bench;
let number = 0;

beforeAll(async () => {
  bench = await Bench.open({ DATABASE_URL: 'sqlite::memory:' });
});

describe.each(HISTORIES)('$title', ({ events, seen }) => {
  const arrivals = permutations(events.map((_, at) => at)).map((order) => [order.join(' '), order] as const);

  it.each(arrivals)('arriving as %s, then all replayed: what the server shows', async (_, order) => {
    number += 1;
    const id = `order-${number}`;
    const nameOf = (name: string | undefined): string => `${name ?? 'x'}-${number}`;
    const records = events.map((spec, at): SourceRecord => {
      const [topic, partition, offset] = spec.place;
      const event = { ...spec, id, name: nameOf(spec.name), eventId: `${id}-${at}` };
      return eventRecord(event, { topic: `connection.${topic}`, partition: partition + number, offset });
    });
    for (const at of order) {
      const record = records[at];
      if (record !== undefined) await bench.handle(record);
    }
    await bench.worker.pipeline.retryKept(NEVER);
    expect(await bench.query(`SELECT code FROM dead_letter WHERE connection_id = '${id}'`)).toEqual([]);
    await expectSeen(id, nameOf);

    const sent = bench.topics.securedOf(id).length;
    for (const record of [...records, ...records.reverse()]) await bench.handle(record);
    expect(bench.topics.securedOf(id)).toHaveLength(sent);
    await expectSeen(id, nameOf);
    bench.topics.records.length = 0;
  });

  async function expectSeen(id: string, nameOf: (name?: string) => string): Promise<void> {
    const last = bench.sent(id);
    const live = await bench.query(
      `SELECT secret_id, version FROM stored_secret WHERE connection_id = '${id}' AND state = 'live'`,
    );
    if (seen.name === null) {
      expect(last).toMatchObject({ operation: 'deleted', entity: null, secretFields: [] });
      expect(live).toEqual([]);
      return;
    }
    const secretId = `/openmetadata/database/${nameOf(seen.name)}/password`;
    const password = seen.password === null ? null : `secret:${secretId}`;
    expect(last?.name).toBe(nameOf(seen.name));
    expect(configOf(last)).toMatchObject({ host: seen.host, password });
    expect(live.map((row) => row['secret_id'])).toEqual(seen.password === null ? [] : [secretId]);
    if (seen.password != null) expect(await bench.valueOf(secretId)).toBe(seen.password);
    // Revisions only grow, so whoever drops what is not newer ends here too.
    const revisions = bench.topics.securedOf(id).map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
  }
});

describe('a timestamp in the future', () => {
  const ahead = (minutes: number): number => (Date.now() - 1_790_000_000_000) / 1_000 + minutes * 60;

  it('more than CLOCK_SKEW_SECONDS: refused; nothing after it is stale', async () => {
    const own = await Bench.open();
    await own.handle(eventRecord({ password: A, at: 1 }));
    await own.handle(eventRecord({ password: 'MARK-x', at: ahead(6) }));
    expect(own.last).toMatchObject({ outcome: 'refused', code: 'TIMESTAMP_IMPLAUSIBLE' });
    await own.handle(eventRecord({ password: B, at: 2 }));
    expect(own.puts.map(({ value }) => value)).toEqual([A, B]);
  });

  it('less than that: a clock that is a little ahead is taken as it is', async () => {
    const own = await Bench.open();
    await own.handle(eventRecord({ password: A, at: ahead(4) }));
    expect(own.last).toMatchObject({ outcome: 'applied' });
  });
});
