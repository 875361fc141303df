import { describe, expect, it } from 'vitest';
import { sealedFor } from '../../harness/index.js';
import { CONNECTION, eventRecord, MASKED, OTHER, PASSWORD_ID, PASSWORD_PATH } from './events.js';
import { KEYS, openBench } from './fixture.js';
import { configOf, referencesOf } from './sent-event.js';

describe('one secret field', () => {
  it('new text: one write, its reference is sent, the value is in the store only', async () => {
    const { bench, worker } = await openBench();
    await expect(worker.handle(eventRecord({ password: 'MARK-a' }))).resolves.toBe('applied');
    expect(bench.store.calls).toEqual([{ operation: 'put', secretId: PASSWORD_ID }]);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    const event = bench.topics.lastOf(CONNECTION);
    expect(configOf(event)['password']).toBe(`secret:${PASSWORD_ID}`);
    expect(event).toMatchObject({ revision: 1, secretFields: [{ path: PASSWORD_PATH, owned: true }] });
    expect(bench.topics.secured).toHaveLength(1);
    await bench.expectNoLeak();
  });

  it('unchanged text: no call, but one secured event', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: 'MARK-a', at: 2 }));
    expect(bench.store.calls).toHaveLength(1);
    expect(bench.topics.secured.map(({ revision }) => revision)).toEqual([1, 2]);
  });

  it('changed text, and back (A → B → A): one write each', async () => {
    const { bench, worker } = await openBench();
    for (const [at, password] of ['MARK-a', 'MARK-b', 'MARK-a'].entries())
      await worker.handle(eventRecord({ password, at: at + 1 }));
    expect(bench.store.writes).toBe(3);
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it.each(['secret:', 'secrets:'])('%s<id> of somebody else is passed through as secret:', async (prefix) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: `${prefix}/team-a/redshift/password` }));
    expect(bench.store.calls).toEqual([]);
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([
      { path: PASSWORD_PATH, reference: 'secret:/team-a/redshift/password', owned: false },
    ]);
    expect(await bench.stored()).toEqual({});
  });

  it('the id of this very field: kept and owned where we have its row, refused where we have not', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 2 }));
    expect(bench.topics.lastOf(CONNECTION)?.secretFields[0]).toMatchObject({ owned: true });
    const otherId = PASSWORD_ID.replace('mysql-test', 'other');
    await worker.handle(eventRecord({ id: OTHER, name: 'other', password: `secret:${otherId}` }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    expect(bench.topics.securedOf(OTHER)).toEqual([]);
    expect(bench.store.writes).toBe(1);
  });

  it('the id of this very field with SECRET_ADOPT=true is ours from then on', async () => {
    const { bench, worker } = await openBench({ env: { SECRET_ADOPT: 'true' } });
    await worker.handle(eventRecord({ password: `secret:${PASSWORD_ID}` }));
    expect(bench.topics.lastOf(CONNECTION)?.secretFields[0]).toMatchObject({ owned: true });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it('the id of another field of the same connection: ownership moves along', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ config: { authType: { password: `secret:${PASSWORD_ID}` } }, at: 2 }));
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([
      { path: '/connection/config/authType/password', reference: `secret:${PASSWORD_ID}`, owned: true },
    ]);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it.each([
    ['another connection’s', PASSWORD_ID],
    ['one below our own prefix that nobody has', '/openmetadata/database/nobody/password'],
    ['the same in capitals', PASSWORD_ID.toUpperCase()],
  ])('a reference to %s: refused', async (_, secretId) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await worker.handle(eventRecord({ id: OTHER, name: 'other', password: `secret:${secretId}` }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    expect(bench.topics.securedOf(OTHER)).toEqual([]);
  });

  it('a reference to an id that its owner has retired is still foreign', async () => {
    const { worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: null, at: 2 }));
    await worker.handle(eventRecord({ id: OTHER, name: 'other', password: `secret:${PASSWORD_ID}` }));
    expect(worker.last()).toMatchObject({ code: 'REFERENCE_FOREIGN' });
  });

  it('ALLOWED_REFERENCE_PREFIXES: nothing else is accepted', async () => {
    const { worker } = await openBench({ env: { ALLOWED_REFERENCE_PREFIXES: '/shared/' } });
    await worker.handle(eventRecord({ password: 'secret:/shared/x', at: 1 }));
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    await worker.handle(eventRecord({ password: 'secret:/team-a/x', at: 2 }));
    expect(worker.last()).toMatchObject({ code: 'REFERENCE_NOT_ALLOWED' });
  });

  it.each(['/openmetadata/', '/', '/openmetadata/database/mysql-test/'])(
    'ALLOWED_REFERENCE_PREFIXES=%s opens no other connection’s secret',
    async (allowed) => {
      const { bench, worker } = await openBench({ env: { ALLOWED_REFERENCE_PREFIXES: allowed } });
      await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await worker.handle(
        eventRecord({ id: OTHER, name: 'other', password: `secret:${PASSWORD_ID}`, at: 1 }),
      );
      expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
      expect(bench.topics.securedOf(OTHER)).toEqual([]);
      await worker.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 2 }));
      expect(worker.last()).toMatchObject({ outcome: 'applied' });
    },
  );

  it('fernet:<token> is what is inside: text, mask, reference, the word null', async () => {
    const { bench, worker } = await openBench();
    const seal = (text: string): string => sealedFor(KEYS.PUBLISHER_FERNET_KEY, CONNECTION, text);
    await worker.handle(eventRecord({ password: seal('MARK-a'), at: 1 }));
    await worker.handle(eventRecord({ password: seal(MASKED), at: 2 }));
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
    await worker.handle(eventRecord({ password: seal('secret:/team-a/x'), at: 3 }));
    expect(referencesOf(bench.topics.lastOf(CONNECTION))).toEqual({ [PASSWORD_PATH]: 'secret:/team-a/x' });
    await worker.handle(eventRecord({ password: seal('null'), at: 4 }));
    expect(worker.last()).toMatchObject({ code: 'VALUE_IS_THE_WORD_NULL' });
    await bench.expectNoLeak();
  });

  it('fernet:<token> under a key we do not have: refused', async () => {
    const { worker } = await openBench();
    await worker.handle(eventRecord({ password: `fernet:${worker.context.rings.ingestion.seal('MARK-a')}` }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'TOKEN_NOT_OPENED' });
  });

  it('a mask keeps the stored reference: no call, the plain members change', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: MASKED, config: { hostPort: 'new:3306' }, at: 2 }));
    expect(bench.store.calls).toHaveLength(1);
    expect(configOf(bench.topics.lastOf(CONNECTION))).toMatchObject({
      hostPort: 'new:3306',
      password: `secret:${PASSWORD_ID}`,
    });
  });

  it.each([
    ['""', { password: '' }, { password: null }],
    ['null', { password: null }, { password: null }],
  ])('%s: null in the event, the owned secret is retired', async (_, cleared, sent) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ ...cleared, at: 2 }));
    expect(configOf(bench.topics.lastOf(CONNECTION))).toMatchObject(sent);
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toEqual([]);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    expect(bench.store.calls).toHaveLength(1);
  });

  it('missing from the full state: absent in the event, the owned secret is retired', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ at: 2 }));
    expect(configOf(bench.topics.lastOf(CONNECTION))).not.toHaveProperty('password');
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
  });

  it('set again within the grace: live again, one write', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ password: null, at: 2 }));
    await worker.handle(eventRecord({ password: 'MARK-a', at: 3 }));
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
    expect(bench.store.writes).toBe(2);
    const [row] = await bench.query('SELECT due_at_ms FROM stored_secret');
    expect(row).toEqual({ due_at_ms: null });
  });
});

describe('what is refused is refused before any write, and nothing of the event is applied', () => {
  it.each([
    ['the word null', 'null', 'VALUE_IS_THE_WORD_NULL'],
    ['a number', 123456, 'FIELD_NOT_A_STRING'],
    ['an object', { a: 'b' }, 'FIELD_NOT_A_STRING'],
    ['an array of numbers', [1], 'FIELD_NOT_A_STRING'],
    ['too long', `MARK-${'x'.repeat(100)}`, 'VALUE_TOO_LONG'],
    ['too long in bytes, not in characters', 'é'.repeat(26), 'VALUE_TOO_LONG'],
    ['characters the store refuses', 'MARK-{{x}}', 'VALUE_REFUSED_BY_STORE'],
    ['a reference without a name', 'secret:', 'REFERENCE_INVALID'],
  ])('%s', async (_, password, code) => {
    const { bench, worker } = await openBench({ limits: { maxValueBytes: 50, refusedTexts: ['{{'] } });
    const config = { sslConfig: { caCertificate: 'MARK-ca' }, authType: { password: 'MARK-fine' } };
    await worker.handle(eventRecord({ password, config }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code });
    expect(bench.store.calls).toEqual([]);
    expect(bench.topics.secured).toEqual([]);
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain('/connection/config/password');
    await bench.expectNoLeak();
  });

  it('two fields of one event with one id', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(
      eventRecord({ config: { connectionOptions: { 'api key': 'MARK-a', 'api.key': 'MARK-b' } } }),
    );
    expect(worker.last()).toMatchObject({ code: 'SECRET_ID_AMBIGUOUS' });
    expect(bench.store.calls).toEqual([]);
    await bench.expectNoLeak();
  });

  it('OUTPUT_TOO_LARGE', async () => {
    const { bench, worker } = await openBench();
    worker.outlet.maxBytes = 2_000;
    await worker.handle(eventRecord({ password: 'MARK-a', config: { note: 'n'.repeat(3_000) } }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'OUTPUT_TOO_LARGE' });
    expect(bench.store.calls).toEqual([]);
  });
});
