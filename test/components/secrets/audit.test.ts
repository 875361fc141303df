import { describe, expect, it } from 'vitest';
import { SecretValue } from '../../../src/secret-value.js';
import { InMemoryStore } from '../../../src/secrets-managers/in-memory/store.js';
import {
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
  PASSWORD_PATH,
  sourceRecord,
} from '../pipeline/events.js';
import { Bench } from './fixture.js';

const RENAMED_ID = PASSWORD_ID.replace('mysql-test', 'renamed');

/** The newest entry must say all of it; the time is that of this test. */
async function expectLast(bench: Bench, expected: Record<string, string | null>): Promise<void> {
  const entry = (await bench.acts()).at(-1);
  expect(entry).toMatchObject({ connection_id: CONNECTION, ...expected });
  expect(Math.abs(Number(entry?.at_ms) - Date.now())).toBeLessThan(60_000);
}

function placeUnowned(bench: Bench, secretId: string): void {
  const { store } = bench.worker.manager;
  if (!(store instanceof InMemoryStore)) throw new Error('not in memory');
  store.placeUnowned(secretId, new SecretValue('theirs'));
}

const field = { path: PASSWORD_PATH, secret_id: PASSWORD_ID };

describe('each of these has a row with connection, path, id, event, actor and time', () => {
  it('create, update, retire, delete: the deletion names who and what retired it', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1, eventId: 'e1', actor: 'ann' }));
    await expectLast(bench, { ...field, action: 'create', event_id: 'e1', actor: 'ann' });
    await bench.handle(eventRecord({ password: 'MARK-b', at: 2, eventId: 'e2', actor: 'bob' }));
    await expectLast(bench, { ...field, action: 'update', event_id: 'e2', actor: 'bob' });
    await bench.handle(eventRecord({ password: MASKED, at: 3, eventId: 'e3', actor: 'bob' }));
    await bench.handle(eventRecord({ password: 'MARK-b', at: 4, eventId: 'e4', actor: 'bob' }));
    await expectLast(bench, { event_id: 'e2' });
    await bench.handle(deletion(5, { eventId: 'e5', actor: 'cat' }));
    await expectLast(bench, { ...field, action: 'retire', event_id: 'e5', actor: 'cat' });
    await bench.endGrace();
    await bench.tidy();
    await expectLast(bench, { ...field, action: 'delete', event_id: 'e5', actor: 'cat' });
    expect(await bench.acts()).toHaveLength(4);
    await bench.expectNowhereElse('MARK-');
  });

  it('rename: the new name is created, the old one retired, both with the path', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(
      eventRecord({ name: 'renamed', password: MASKED, at: 2, eventId: 'e2', actor: 'ann' }),
    );
    const rows = await bench.audit(`event_id = 'e2' AND action <> 'apply'`);
    expect(rows).toMatchObject([
      { action: 'create', path: PASSWORD_PATH, secret_id: RENAMED_ID, actor: 'ann' },
      { action: 'retire', path: PASSWORD_PATH, secret_id: PASSWORD_ID, actor: 'ann' },
    ]);
  });

  it('adopt: by a value over a secret without our tag', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    placeUnowned(bench, PASSWORD_ID);
    await bench.handle(eventRecord({ password: 'MARK-a', eventId: 'e1', actor: 'ann' }));
    await expectLast(bench, { ...field, action: 'adopt', event_id: 'e1', actor: 'ann' });
  });

  it('adopt: by a reference to the field’s own id, once', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    placeUnowned(bench, PASSWORD_ID);
    await bench.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, eventId: 'e1', actor: 'ann' }));
    await expectLast(bench, { ...field, action: 'adopt', event_id: 'e1', actor: 'ann' });
    await bench.handle(eventRecord({ password: `secret:${PASSWORD_ID}`, at: 2 }));
    await bench.handle(eventRecord({ password: MASKED, at: 3 }));
    expect(await bench.actions()).toEqual(['adopt']);
  });

  it('an external reference is nobody’s act on a secret of ours: no row', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'secret:/team-a/x' }));
    expect(await bench.acts()).toEqual([]);
  });

  it('restore: a retired secret that a reference takes into use again', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: null, at: 2 }));
    await bench.handle(
      eventRecord({ password: `secret:${PASSWORD_ID}`, at: 3, eventId: 'e3', actor: 'ann' }),
    );
    await expectLast(bench, { ...field, action: 'restore', event_id: 'e3', actor: 'ann' });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
  });

  it('ownership that moves along to another field of the connection is no new act', async () => {
    const bench = await Bench.open({ SECRET_ADOPT: 'true' });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ config: { authType: { password: `secret:${PASSWORD_ID}` } }, at: 2 }));
    expect(await bench.actions()).toEqual(['create']);
  });

  it('take-over: names the connection that had the id before', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ id: OTHER, password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2, { id: OTHER }));
    await bench.endGrace();
    await bench.tidy();
    await bench.handle(eventRecord({ password: 'MARK-b', at: 3, eventId: 'e3', actor: 'ann' }));
    await expectLast(bench, {
      ...field,
      action: 'create',
      event_id: 'e3',
      actor: 'ann',
      detail: `taken over from connection ${OTHER}`,
    });
  });

  it('retire: what an event had written when the store refused another of its fields', async () => {
    const bench = await Bench.open();
    placeUnowned(bench, PASSWORD_ID);
    const config = { authType: { password: 'MARK-a' } };
    await bench.handle(eventRecord({ password: 'MARK-b', config, eventId: 'e1', actor: 'ann' }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_NOT_OWNED' });
    const authId = PASSWORD_ID.replace('/password', '/authtype/password');
    const path = '/connection/config/authType/password';
    const cause = { path, secret_id: authId, event_id: 'e1', actor: 'ann' };
    expect(await bench.audit(`secret_id = '${authId}'`)).toMatchObject([{ action: 'retire', ...cause }]);
    await bench.endDoubt();
    await bench.tidy();
    await bench.endGrace();
    await bench.tidy();
    expect(await bench.valueOf(authId)).toBeNull();
    expect(await bench.valueOf(PASSWORD_ID)).toBe('theirs');
    expect((await bench.audit(`secret_id = '${authId}'`)).at(-1)).toMatchObject({
      action: 'delete',
      ...cause,
    });
  });

  it('refuse: code, field, event and actor; again for the same reason: no second row', async () => {
    const bench = await Bench.open();
    const refused = eventRecord({ password: 'null', eventId: 'e1', actor: 'ann' });
    await bench.handle(refused);
    await bench.handle(refused);
    await expectLast(bench, {
      action: 'refuse',
      path: PASSWORD_PATH,
      event_id: 'e1',
      actor: 'ann',
      detail: 'VALUE_IS_THE_WORD_NULL',
    });
    expect(await bench.actions()).toEqual(['refuse']);
  });

  it('refuse: what cannot be decoded, as far as it is known whose it is', async () => {
    const bench = await Bench.open();
    await bench.handle(sourceRecord('{"not": json', { key: Buffer.from(CONNECTION) }));
    await expectLast(bench, { action: 'refuse', detail: 'EVENT_NOT_DECODABLE', actor: null });
    await bench.handle(sourceRecord('{"not": json'));
    expect((await bench.audit()).at(-1)).toMatchObject({ action: 'refuse', connection_id: null });
  });

  it('values that stay in our database: create, update, retire', async () => {
    const bench = await Bench.open({ SECRET_MANAGER: 'db' });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    await bench.handle(eventRecord({ password: null, at: 3, eventId: 'e3', actor: 'ann' }));
    expect(await bench.actions()).toEqual(['create', 'update', 'delete']);
    await expectLast(bench, { path: PASSWORD_PATH, event_id: 'e3', actor: 'ann' });
  });
});
