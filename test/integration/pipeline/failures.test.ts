import { describe, expect, it } from 'vitest';
import { DatabaseError } from '../../../src/database/errors.js';
import { SecretValue } from '../../../src/secret-value.js';
import { describeWith, queryDatabase, waitFor } from '../../harness/index.js';
import {
  CONNECTION,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  PASSWORD_PATH,
} from '../../components/pipeline/events.js';
import { codeOf, openBench } from '../../components/pipeline/fixture.js';
import { configOf } from '../../components/pipeline/sent-event.js';

const SIGNAL = new AbortController().signal;
const lost = (): Error => new DatabaseError('transient', 'ECONNRESET');

describe('the store fails', () => {
  it.each(['throttle', 'lost', 'lost-after', 'late'] as const)(
    '%s: the record comes again and is applied once',
    async (fault) => {
      const { bench, worker } = await openBench();
      bench.store.arm(fault);
      const event = eventRecord({ password: 'MARK-a' });
      expect(await codeOf(worker.handle(event))).toBe('STORE_UNAVAILABLE');
      expect(bench.topics.records).toEqual([]);
      await bench.expireClaims();
      expect(await worker.handle(event)).toBe('applied');
      expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
      expect(bench.topics.secured).toHaveLength(1);
      await bench.expectNoLeak();
    },
  );

  it('what is there and not ours is not overwritten: SECRET_NOT_OWNED; with SECRET_ADOPT it is taken over', async () => {
    const { bench, worker } = await openBench();
    bench.store.inner.placeUnowned(PASSWORD_ID, new SecretValue('MARK-theirs'));
    const event = eventRecord({ password: 'MARK-a', config: { authType: { password: 'MARK-b' } } });
    await worker.handle(event);
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-theirs');
    const states = Object.values(await bench.stored());
    expect(states).toEqual(['retired', 'retired']);
    const adopting = await bench.worker({ SECRET_ADOPT: 'true' });
    expect(await adopting.handle(event)).toBe('applied');
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    const audit = await bench.query(`SELECT action FROM audit WHERE action = 'adopt'`);
    expect(audit).toHaveLength(1);
    await bench.expectNoLeak();
  });

  it('a store that fails for one connection does not hold another', async () => {
    const { bench, worker } = await openBench();
    bench.store.arm('throttle', { secretId: PASSWORD_ID });
    const settled = await Promise.allSettled([
      worker.handle(eventRecord({ password: 'MARK-a' })),
      worker.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-b' })),
    ]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('an event that waits for its turn when the worker stops gives its claim back, and writes nothing', async () => {
    const { bench, worker } = await openBench();
    const narrow = await bench.worker({ WORKER_CONCURRENCY: '1' });
    const stop = new AbortController();
    const waiting = eventRecord({ id: OTHER, name: 'other', password: 'MARK-b' });
    const second: Promise<string>[] = [];
    bench.store.afterPut = async () => {
      if (second.length > 0) return;
      second.push(codeOf(narrow.pipeline.handle(waiting, stop.signal)));
      await waitFor(
        async () =>
          (await bench.query(`SELECT id FROM connection WHERE claim_owner IS NOT NULL`)).length === 2,
        { what: 'two claims' },
      );
      stop.abort();
    };
    await codeOf(narrow.pipeline.handle(eventRecord({ password: 'MARK-a' }), stop.signal));
    expect(await Promise.all(second)).toEqual(['STORE_UNAVAILABLE']);
    expect(await bench.query(`SELECT id FROM connection WHERE claim_owner IS NOT NULL`)).toEqual([]);
    expect(await worker.handle(waiting)).toBe('applied');
    expect(worker.last()).toMatchObject({ writes: 1 });
  });

  it('what queues behind a failed event of its connection fails with it: nothing overtakes', async () => {
    const { bench, worker } = await openBench();
    bench.store.arm('throttle');
    const events = [1, 2].map((at) => eventRecord({ password: `MARK-${at}`, at }));
    const settled = await Promise.allSettled(events.map((event) => worker.handle(event)));
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(bench.store.writes).toBe(1);
  });
});

describe('the database fails', () => {
  it.each(['before', 'after'] as const)(
    'in the commit, %s it took effect: applied once, sent once',
    async (when) => {
      const { bench, worker } = await openBench();
      const { ledger } = worker;
      const commit = ledger.commit.bind(ledger);
      ledger.commit = async (requests) => {
        ledger.commit = commit;
        if (when === 'after') await commit(requests);
        throw lost();
      };
      const event = eventRecord({ password: 'MARK-a' });
      expect(await codeOf(worker.handle(event))).toBe('DATABASE_UNAVAILABLE');
      expect(await codeOf(worker.handle(event))).toBe('CLAIM_LOST');
      await bench.expireClaims();
      expect(await worker.handle(event)).toBe(when === 'after' ? 'duplicate' : 'applied');
      expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1]);
      expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    },
  );

  it('in the claim: nothing was written', async () => {
    const { bench, worker } = await openBench();
    const claim = worker.ledger.claim.bind(worker.ledger);
    worker.ledger.claim = () => {
      worker.ledger.claim = claim;
      return Promise.reject(lost());
    };
    const event = eventRecord({ password: 'MARK-a' });
    expect(await codeOf(worker.handle(event))).toBe('DATABASE_UNAVAILABLE');
    expect(bench.store.calls).toEqual([]);
    expect(await worker.handle(event)).toBe('applied');
  });

  it('while marking as sent: the record is sent again, nothing is lost', async () => {
    const { bench, worker } = await openBench();
    const settle = worker.ledger.settle.bind(worker.ledger);
    worker.ledger.settle = () => {
      worker.ledger.settle = settle;
      return Promise.reject(lost());
    };
    const event = eventRecord({ password: 'MARK-a' });
    expect(await codeOf(worker.handle(event))).toBe('DATABASE_UNAVAILABLE');
    await bench.expireClaims();
    expect(await worker.handle(event)).toBe('duplicate');
    expect(bench.topics.secured.map(({ cloudEventId }) => cloudEventId)).toHaveLength(2);
    expect(new Set(bench.topics.secured.map(({ cloudEventId }) => cloudEventId)).size).toBe(1);
  });

  it('refuses a state: that event becomes a dead letter, the others of its transaction do not', async () => {
    const { bench, worker } = await openBench();
    const commit = worker.ledger.commit.bind(worker.ledger);
    worker.ledger.commit = (requests) =>
      requests.some(
        ({ claim, changes }) => claim.connectionId === CONNECTION && changes.connection !== undefined,
      )
        ? Promise.reject(new DatabaseError('refused', '22021'))
        : commit(requests);
    const outcomes = await Promise.all([
      worker.handle(eventRecord({ password: 'MARK-a' })),
      worker.handle(eventRecord({ id: OTHER, name: 'other', password: 'MARK-b' })),
    ]);
    expect(outcomes).toEqual(['refused', 'applied']);
    expect(await bench.kept()).toEqual([{ state: 'dead', code: 'EVENT_NOT_STORABLE' }]);
    expect(await bench.stored()).toMatchObject({ [PASSWORD_ID]: 'retired' });
    await bench.expectNoLeak();
  });
});

describe('the database refuses a state that was applied meanwhile', () => {
  it('the event is a duplicate, no dead letter comes of it', async () => {
    const { bench, worker } = await openBench();
    const other = await bench.worker();
    const event = eventRecord({ password: 'MARK-a' });
    const claim = worker.ledger.claim.bind(worker.ledger);
    worker.ledger.claim = async () => {
      worker.ledger.claim = claim;
      await other.handle(event);
      throw new DatabaseError('refused', '22021');
    };
    expect(await worker.handle(event)).toBe('duplicate');
    expect(await bench.kept()).toEqual([]);
    expect(await bench.query('SELECT outcome FROM inbox')).toEqual([{ outcome: 'applied' }]);
  });
});

describeWith(['postgres'], 'every connection to the database is cut', () => {
  it('in the middle of an event: it comes again, or goes on over a new connection', async () => {
    const { bench, worker } = await openBench({ engine: 'postgres' });
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
    bench.store.afterPut = async () => {
      bench.store.afterPut = () => Promise.resolve();
      await queryDatabase({ url: bench.url }, cut);
    };
    const event = eventRecord({ password: 'MARK-a' });
    const code = await codeOf(worker.handle(event));
    expect(['no error', 'DATABASE_UNAVAILABLE']).toContain(code);
    if (code !== 'no error') {
      await bench.expireClaims();
      await worker.handle(event);
    }
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1]);
  });
});

describe('publishing fails', () => {
  it('the relay sends it later, in the order of the revisions, and once', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failures = 2;
    const first = eventRecord({ password: 'MARK-a', at: 1 });
    const second = eventRecord({ password: MASKED, at: 2 });
    expect(await codeOf(worker.handle(first))).toBe('BROKER_UNAVAILABLE');
    await bench.expireClaims();
    expect(await codeOf(worker.handle(second))).toBe('BROKER_UNAVAILABLE');
    expect(await worker.relay.run(SIGNAL)).toBe(0);
    await bench.expireClaims();
    expect(await worker.relay.run(SIGNAL)).toBe(2);
    expect(await worker.relay.run(SIGNAL)).toBe(0);
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2]);
    expect(await worker.handle(first)).toBe('duplicate');
    expect(bench.topics.secured).toHaveLength(2);
  });

  it('without an answer although it landed: sent again under the same id', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failuresAfter = 1;
    const event = eventRecord({ password: 'MARK-a' });
    expect(await codeOf(worker.handle(event))).toBe('BROKER_UNAVAILABLE');
    await bench.expireClaims();
    expect(await worker.handle(event)).toBe('duplicate');
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 1]);
  });

  it('a stale event publishes what an earlier one has left', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.failures = 1;
    expect(await codeOf(worker.handle(eventRecord({ password: 'MARK-a', at: 2 })))).toBe(
      'BROKER_UNAVAILABLE',
    );
    await bench.expireClaims();
    expect(await worker.handle(eventRecord({ password: 'MARK-0', at: 1 }))).toBe('stale');
    expect(bench.topics.secured).toHaveLength(1);
  });
});

describe('managers that keep values with us', () => {
  it('db: no call; the event carries a token of the ingestion key, the row one of the database key', async () => {
    const { bench, worker } = await openBench({ manager: 'db' });
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const token = String(configOf(bench.topics.lastOf(CONNECTION))['password']);
    expect(worker.context.rings.ingestion.open(token.slice('fernet:'.length))).toBe('MARK-a');
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([
      { path: PASSWORD_PATH, reference: token, owned: true },
    ]);
    const [row] = await bench.query('SELECT sealed FROM secret_reference');
    expect(worker.context.rings.database.open(String(row?.['sealed']).slice('fernet:'.length))).toBe(
      'MARK-a',
    );
    await worker.handle(eventRecord({ password: MASKED, at: 2, name: 'renamed' }));
    await worker.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    expect(bench.store.calls).toEqual([]);
    expect(await bench.stored()).toEqual({});
    await bench.expectNoLeak();
  });

  it('db: two connections of one name do not collide; a user’s reference stays one', async () => {
    const { bench, worker } = await openBench({ manager: 'db' });
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    expect(await worker.handle(eventRecord({ id: OTHER, password: 'MARK-b' }))).toBe('applied');
    await worker.handle(eventRecord({ id: OTHER, password: 'secret:/team-a/x', at: 2 }));
    expect(configOf(bench.topics.lastOf(OTHER))['password']).toBe('secret:/team-a/x');
  });

  it('SECURED_REFERENCES=sealed: references as tokens too', async () => {
    const { bench, worker } = await openBench({ env: { SECURED_REFERENCES: 'sealed' } });
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    const token = String(configOf(bench.topics.lastOf(CONNECTION))['password']);
    expect(worker.context.rings.ingestion.open(token.slice('fernet:'.length))).toBe(`secret:${PASSWORD_ID}`);
  });
});
