import { describe, expect, it } from 'vitest';
import type { NamedFields } from '../../../src/pipeline/notes.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import {
  changeEvent,
  CONNECTION,
  MASKED,
  PASSWORD_ID,
  PASSWORD_PATH,
  sourceRecord,
  type EventSpec,
} from '../pipeline/events.js';
import { configOf } from '../pipeline/sent-event.js';
import { Bench } from './fixture.js';

const PASSWORD = 'MARK-p4ss/wörd';

/** An event whose entity has further members. */
function quoting(members: Record<string, Json>, spec: EventSpec = {}) {
  const change = changeEvent({ password: PASSWORD, ...spec });
  return sourceRecord({ ...change, entity: { ...(change['entity'] as JsonObject), ...members } });
}

async function quotedRows(bench: Bench): Promise<Record<string, readonly string[]>> {
  const rows = await bench.audit(`action = 'quoted'`);
  return Object.fromEntries(
    rows.map((row) => [
      String(row.detail),
      (JSON.parse((row as unknown as { fields: string }).fields) as NamedFields).plain,
    ]),
  );
}

const entityOf = (bench: Bench) => bench.sent(CONNECTION)?.entity as JsonObject;

describe('a secret of the event in its free texts', () => {
  it('is masked in database and topic, counted and audited; the rest of the text stays', async () => {
    const bench = await Bench.open();
    await bench.handle(
      quoting({
        description: `Log in with ${PASSWORD}, or ask.`,
        displayName: PASSWORD,
        owners: [{ name: 'ann', description: `she knows ${PASSWORD}${PASSWORD}` }],
        tags: [{ tagFQN: 'a.b', description: 'none' }],
      }),
    );
    expect(entityOf(bench)).toMatchObject({
      description: `Log in with ${MASKED}, or ask.`,
      displayName: MASKED,
      owners: [{ name: 'ann', description: `she knows ${MASKED}` }],
      tags: [{ tagFQN: 'a.b', description: 'none' }],
    });
    expect(await quotedRows(bench)).toEqual({
      'replaced by the mask': ['/description', '/displayName', '/owners/0/description'],
    });
    expect(bench.last).toMatchObject({ outcome: 'applied', notes: [{ action: 'quoted' }] });
    expect(await bench.valueOf(PASSWORD_ID)).toBe(PASSWORD);
    await bench.expectNowhereElse('MARK-');
  });

  it.each<[string, string, string]>([
    ['percent-encoded', PASSWORD, encodeURIComponent(PASSWORD)],
    ['in JSON', 'MARK-"quo"ted', JSON.stringify('MARK-"quo"ted').slice(1, -1)],
    ['in base64', PASSWORD, Buffer.from(PASSWORD).toString('base64')],
    ['that is the password of a secret address', 'ftp://u:MARK%2Dabcde@h/', 'MARK-abcde'],
  ])('is masked %s', async (_, password, quotation) => {
    const bench = await Bench.open();
    await bench.handle(quoting({ description: `<${quotation}>` }, { password }));
    expect(entityOf(bench)['description']).toMatch(/^<\*{9}=*>$/);
  });

  it('is left in the configuration, in names and ids: audited, counted', async () => {
    const bench = await Bench.open();
    const password = 'MARK-user';
    await bench.handle(
      quoting({ owners: [{ name: password }] }, { password, config: { username: password } }),
    );
    expect(configOf(bench.sent(CONNECTION))['username']).toBe(password);
    expect(entityOf(bench)['owners']).toEqual([{ name: password }]);
    expect(await quotedRows(bench)).toEqual({
      'left as it is': ['/connection/config/username', '/owners/0/name'],
    });
  });

  it('is not looked for where it is shorter than 8 characters, a mask, or a reference', async () => {
    const bench = await Bench.open();
    const description = 'short1 secret:/team/abcdefgh';
    for (const [at, password] of ['short1', MASKED, 'secret:/team/abcdefgh'].entries())
      await bench.handle(quoting({ description }, { password, at: at + 1 }));
    expect(entityOf(bench)['description']).toBe(description);
    expect(await quotedRows(bench)).toEqual({});
  });

  it('is masked in a newer state that came before it', async () => {
    const bench = await Bench.open();
    await bench.handle(quoting({}, { password: 'MARK-first', at: 1 }));
    await bench.handle(quoting({ description: `now ${PASSWORD}` }, { password: MASKED, at: 30 }));
    await bench.handle(quoting({}, { at: 20 }));
    expect(entityOf(bench)['description']).toBe(`now ${MASKED}`);
    expect(await bench.valueOf(PASSWORD_ID)).toBe(PASSWORD);
    const [row] = await bench.query('SELECT entity FROM connection');
    expect(String(row?.['entity'])).not.toContain('MARK-');
  });

  it('does not show a key that quotes one', async () => {
    const bench = await Bench.open();
    await bench.handle(quoting({ extension: { [`of ${PASSWORD}`]: PASSWORD } }));
    expect(await quotedRows(bench)).toEqual({ 'replaced by the mask': ['/extension/[hidden]'] });
  });
});

describe('SECRET_QUOTED', () => {
  it('refuse: also beside a masked text that is no secret of ours', async () => {
    const bench = await Bench.open({ SECRET_QUOTED: 'refuse', SECRET_BY_NAME: 'report' });
    const config = { connectionOptions: { apiKey: MASKED } };
    await bench.handle(quoting({ description: `It is ${PASSWORD}` }, { config }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_QUOTED' });
  });

  it('refuse: a dead letter that names the fields; not for the configuration', async () => {
    const bench = await Bench.open({ SECRET_QUOTED: 'refuse' });
    await bench.handle(quoting({}, { config: { username: PASSWORD } }));
    expect(bench.last?.outcome).toBe('applied');
    await bench.handle(quoting({ description: PASSWORD, displayName: PASSWORD }, { at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_QUOTED' });
    const [letter] = await bench.query('SELECT detail, sets FROM dead_letter');
    expect(letter).toEqual({
      detail: '/description, /displayName: quotes a secret of the same event',
      sets: JSON.stringify([PASSWORD_PATH]),
    });
  });

  it('report: left, audited and counted', async () => {
    const bench = await Bench.open({ SECRET_QUOTED: 'report' });
    await bench.handle(quoting({ description: `it is ${PASSWORD}` }));
    expect(entityOf(bench)['description']).toBe(`it is ${PASSWORD}`);
    expect(await quotedRows(bench)).toEqual({ 'left as it is': ['/description'] });
  });
});

it('a dead letter’s headers and detail carry no value, whatever quotes it', async () => {
  const bench = await Bench.open();
  const token = { connectionOptions: { api_key: PASSWORD } };
  await bench.handle(
    quoting({ description: PASSWORD }, { password: 'null', config: token, name: `x ${PASSWORD}` }),
  );
  expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_IS_THE_WORD_NULL' });
  await bench.expectNowhereElse('MARK-');
});
