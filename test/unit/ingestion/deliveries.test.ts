import { Writable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { Deliveries } from '../../../src/ingestion/deliveries.js';
import type { GivenUp, GiveUp, SecuredDelivery, SecuredHandler } from '../../../src/ingestion/deliveries.js';
import { createResolver, reveal } from '../../../src/ingestion/index.js';
import { LatestStates } from '../../../src/ingestion/latest-states.js';
import { createLogger } from '../../../src/observability/logger.js';
import { waitFor } from '../../harness/index.js';
import { FakeReader, GENERATION, securedEvent } from './support.js';

const REFERENCE = 'secret:/openmetadata/database/mysql-test/password';
let reader: FakeReader;
let log: string;
let done: string[];
let seen: string[];

beforeEach(() => {
  reader = new FakeReader();
  reader.values.set(REFERENCE, 'the-value');
  log = '';
  done = [];
  seen = [];
});

const name = ({ connectionId, revision }: { connectionId: string; revision: number }): string =>
  `${connectionId}:${revision}`;

function start(handler: SecuredHandler, concurrency = 8, giveUp?: GiveUp): Deliveries {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, next) {
      log += chunk.toString();
      next();
    },
  });
  return new Deliveries({
    handler: async (delivery) => {
      seen.push(name(delivery.event));
      await handler(delivery);
    },
    resolver: createResolver({ readers: { test: reader } }),
    concurrency,
    backoff: { minMs: 5, maxMs: 20 },
    ...(giveUp === undefined ? {} : { giveUp }),
    logger: createLogger({ level: 'trace', stream }),
  });
}

function accept(
  deliveries: Deliveries,
  id: string,
  revision: number,
  origin = 'p',
  generation = GENERATION,
): void {
  const event = securedEvent({ connectionId: id, revision, generation });
  deliveries.accept(event, origin, () => done.push(name(event)));
}

class Gate {
  open: () => void = () => undefined;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

describe('deliveries', () => {
  it('keep the order of a connection and run different ones at the same time', async () => {
    const gate = new Gate();
    const deliveries = start(async ({ event }) => (name(event) === 'a:1' ? gate.opened : undefined));
    for (const [id, revision] of [
      ['a', 1],
      ['a', 2],
      ['b', 1],
      ['a', 3],
      ['b', 2],
    ] as const)
      accept(deliveries, id, revision);
    await waitFor(() => done.length === 2, { what: 'the other connection' });
    expect(seen).toEqual(['a:1', 'b:1', 'b:2']);
    gate.open();
    await waitFor(() => done.length === 5, { what: 'all' });
    expect(seen).toEqual(['a:1', 'b:1', 'b:2', 'a:2', 'a:3']);
  });

  it('never have more with the handler than allowed', async () => {
    let running = 0;
    let most = 0;
    const deliveries = start(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    }, 3);
    for (let at = 0; at < 50; at += 1) accept(deliveries, `c${at}`, 1);
    await waitFor(() => done.length === 50, { what: 'all' });
    expect(most).toBe(3);
  });

  it('drop what is not newer, by generation and then revision', async () => {
    const deliveries = start(() => undefined);
    accept(deliveries, 'a', 5);
    await waitFor(() => done.length === 1, { what: 'the first' });
    for (const revision of [5, 4, 1]) accept(deliveries, 'a', revision);
    accept(deliveries, 'a', 9, 'p', GENERATION - 1);
    expect(done).toHaveLength(5);
    accept(deliveries, 'a', 1, 'p', GENERATION + 1);
    await waitFor(() => done.length === 6, { what: 'the newer generation' });
    expect(seen).toEqual(['a:5', 'a:1']);
  });

  it('try again what failed, as often as it takes, never skipping it, and hold up nobody else', async () => {
    let failures = 6;
    const deliveries = start(({ event, attempt }) => {
      if (event.connectionId !== 'a') return;
      expect(attempt).toBe(7 - failures);
      failures -= 1;
      if (failures > 0) throw new Error('connect failed with password the-value');
    }, 1);
    accept(deliveries, 'a', 1);
    accept(deliveries, 'b', 1);
    await waitFor(() => done.length === 2, { what: 'all' });
    expect(seen.filter((each) => each !== 'b:1')).toEqual(Array<string>(6).fill('a:1'));
    expect(done).toEqual(['b:1', 'a:1']);
    expect(log).toContain('handling failed');
    expect(log).not.toContain('the-value');
  });

  it('let the newest revision win over an older one that fails, whatever it fails of', async () => {
    const deliveries = start(({ event }) => {
      if (event.revision < 4) throw new Error('ENOTFOUND');
    });
    accept(deliveries, 'a', 1);
    await waitFor(() => seen.length >= 3, { what: 'some attempts' });
    for (const revision of [2, 3, 4]) accept(deliveries, 'a', revision);
    await waitFor(() => done.length === 4, { what: 'all' });
    expect([...new Set(seen)]).toEqual(['a:1', 'a:4']);
    expect(log).toContain('"newest":4');
  });

  it('give up after so many attempts, tell the program, and forget the event only when it was taken', async () => {
    const given: GivenUp[] = [];
    const failure = new Error('login with the-value refused');
    const deliveries = start(
      () => {
        throw failure;
      },
      8,
      {
        afterAttempts: 3,
        onGivenUp: (one) => {
          given.push(one);
          if (given.length === 1) throw new Error('no table for the-value');
        },
      },
    );
    accept(deliveries, 'a', 1);
    await waitFor(() => done.length === 1, { what: 'giving up' });
    expect(seen).toEqual(Array<string>(4).fill('a:1'));
    expect(given.map(({ attempts }) => attempts)).toEqual([3, 4]);
    expect(given[1]).toMatchObject({ event: { connectionId: 'a', revision: 1 }, error: failure });
    accept(deliveries, 'a', 1);
    expect(done).toHaveLength(2);
    expect(log).not.toContain('the-value');
  });

  it('ask the store itself from the second attempt on', async () => {
    const values: string[] = [];
    const deliveries = start(async (delivery) => {
      const filled = await delivery.resolve();
      values.push(JSON.stringify(reveal(filled!)));
      reader.values.set(REFERENCE, 'changed-behind');
      if (delivery.attempt === 1) throw new Error('login refused');
    });
    accept(deliveries, 'a', 1);
    await waitFor(() => done.length === 1, { what: 'the second attempt' });
    expect(values[0]).toContain('the-value');
    expect(values[1]).toContain('changed-behind');
  });

  it('let an event whose references are gone make way for a newer one, and commit nothing before', async () => {
    reader.values.clear();
    const deliveries = start(async (delivery) => {
      await delivery.resolve();
    });
    accept(deliveries, 'a', 1);
    await waitFor(() => seen.length >= 3, { what: 'some attempts' });
    expect(done).toEqual([]);
    reader.values.set('secret:/new', 'v');
    const newer = securedEvent({
      connectionId: 'a',
      revision: 2,
      entity: { password: 'secret:/new' },
      secretFields: [{ path: '/password', reference: 'secret:/new', owned: true }],
    });
    deliveries.accept(newer, 'p', () => done.push('a:2'));
    await waitFor(() => done.length === 2, { what: 'the newer one' });
    expect(done).toEqual(['a:1', 'a:2']);
    expect(log).toContain('a newer event is there: it replaces this one');
  });

  it('tell everybody who brought the same event', async () => {
    const gate = new Gate();
    const deliveries = start(() => gate.opened);
    accept(deliveries, 'a', 1);
    accept(deliveries, 'a', 1);
    accept(deliveries, 'a', 2);
    accept(deliveries, 'a', 2);
    gate.open();
    await waitFor(() => done.length === 4, { what: 'all four' });
    expect(seen).toEqual(['a:1', 'a:2']);
  });

  it('forget what went to another member, and take it when it comes back', async () => {
    const gate = new Gate();
    const aborted: boolean[] = [];
    const deliveries = start(async ({ event, signal }: SecuredDelivery) => {
      if (name(event) !== 'a:1') return;
      await gate.opened;
      aborted.push(signal.aborted);
      throw new Error('gave up');
    });
    accept(deliveries, 'a', 1, 'lost');
    accept(deliveries, 'a', 2, 'lost');
    accept(deliveries, 'b', 1, 'kept');
    await waitFor(() => seen.includes('a:1'), { what: 'the first attempt' });
    deliveries.lose('lost');
    accept(deliveries, 'a', 2, 'lost');
    gate.open();
    await waitFor(() => done.includes('a:2'), { what: 'what came back' });
    expect(aborted[0]).toBe(true);
    expect(seen.filter((each) => each.startsWith('a'))).toEqual(['a:1', 'a:2']);
    expect(done).toContain('b:1');
    expect(done).not.toContain('a:1');
  });

  it('end in order: what runs may finish, nothing new begins, the rest is aborted', async () => {
    const gate = new Gate();
    let isAborted = false;
    const deliveries = start(async ({ event, signal }) => {
      if (event.connectionId === 'slow') await gate.opened;
      if (event.connectionId === 'hangs')
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            isAborted = true;
            resolve();
          });
        });
    }, 2);
    for (const id of ['slow', 'hangs', 'later']) accept(deliveries, id, 1);
    await waitFor(() => seen.length === 2, { what: 'both to begin' });
    const stopped = deliveries.stop(200, 500);
    gate.open();
    await stopped;
    expect(seen).toEqual(['slow:1', 'hangs:1']);
    expect(done).toContain('slow:1');
    expect(done).not.toContain('later:1');
    expect(isAborted).toBe(true);
  });
});

describe('the newest states of a backlog', () => {
  it('are handed over at its end, one of each connection, and only then is anything done', () => {
    const handed: { event: string; tell: () => void }[] = [];
    const states = new LatestStates((event, _origin, tell) => handed.push({ event: name(event), tell }));
    for (const [id, revision] of [
      ['a', 1],
      ['b', 1],
      ['a', 3],
      ['a', 2],
    ] as const) {
      const event = securedEvent({ connectionId: id, revision });
      states.accept(event, 'p', () => done.push(name(event)));
    }
    states.accept(securedEvent({ connectionId: 'c', revision: 1 }), 'q', () => done.push('c'));
    states.lose('q');
    states.handOver('q');
    expect(handed).toEqual([]);
    states.handOver('p');
    states.handOver('p');
    expect(handed.map(({ event }) => event)).toEqual(['a:3', 'b:1']);
    expect(done).toEqual([]);
    handed[0]!.tell();
    expect(done).toEqual(['a:1', 'a:3', 'a:2']);
  });
});
