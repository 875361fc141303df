import { describe, expect, it } from 'vitest';
import type { NamedFields } from '../../../src/pipeline/notes.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import {
  changeEvent,
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  PASSWORD_PATH,
  sourceRecord,
  type EventSpec,
} from '../pipeline/events.js';
import { Bench, type AuditEntry } from './fixture.js';

const fieldsOf = (row: AuditEntry | undefined): NamedFields | null =>
  JSON.parse(
    (row as unknown as { fields: string | null } | undefined)?.fields ?? 'null',
  ) as NamedFields | null;

async function applied(bench: Bench): Promise<AuditEntry[]> {
  return bench.audit(`action = 'apply'`);
}

const described = (spec: EventSpec, more: Record<string, Json>) => {
  const change = changeEvent(spec);
  return sourceRecord({ ...change, entity: { ...(change['entity'] as JsonObject), ...more } });
};

describe('every applied event has one row: actor, event, what, and which fields', () => {
  it('created: the topmost members, and the secret ones', async () => {
    const bench = await Bench.open();
    await bench.handle(
      eventRecord({ password: 'MARK-a', eventId: 'e1', actor: 'ann', eventType: 'entityCreated' }),
    );
    const [row] = await applied(bench);
    expect(row).toMatchObject({
      actor: 'ann',
      event_id: 'e1',
      connection_id: CONNECTION,
      detail: 'entityCreated databaseService mysql-test',
    });
    expect(fieldsOf(row)).toEqual({
      plain: ['/id', '/name', '/fullyQualifiedName', '/serviceType', '/version', '/connection'],
      secret: [PASSWORD_PATH],
      more: 0,
    });
    await bench.expectNowhereElse('MARK-');
  });

  it('updated: plain and secret fields that changed; a mask or the same text is no change', async () => {
    const bench = await Bench.open();
    const config = (hostPort: string) => ({ hostPort, nested: { deep: [1, { two: hostPort }] } });
    await bench.handle(eventRecord({ password: 'MARK-a', config: config('a:1'), at: 1 }));
    for (const [at, password] of [MASKED, 'MARK-a', 'MARK-b', null].entries())
      await bench.handle(eventRecord({ password, config: config('b:2'), at: 2 + at, actor: 'mallory' }));
    const rows = (await applied(bench)).slice(1).map(fieldsOf);
    const plain = ['/connection/config/hostPort', '/connection/config/nested/deep/1/two'];
    expect(rows).toEqual([
      { plain, secret: [], more: 0 },
      { plain: [], secret: [], more: 0 },
      { plain: [], secret: [PASSWORD_PATH], more: 0 },
      { plain: [], secret: [PASSWORD_PATH], more: 0 },
    ]);
  });

  it('renamed, soft deleted, restored, deleted', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: MASKED, name: 'renamed', at: 2 }));
    await bench.handle(
      eventRecord({ password: MASKED, name: 'renamed', at: 3, eventType: 'entitySoftDeleted' }),
    );
    await bench.handle(
      eventRecord({ password: MASKED, name: 'renamed', at: 4, eventType: 'entityRestored' }),
    );
    await bench.handle(deletion(5, { name: 'renamed', actor: 'ann' }));
    const rows = await applied(bench);
    expect(rows.slice(1).map(({ detail }) => detail)).toEqual([
      'entityUpdated databaseService renamed, was mysql-test',
      'entitySoftDeleted databaseService renamed',
      'entityRestored databaseService renamed',
      'entityDeleted databaseService renamed',
    ]);
    expect(fieldsOf(rows.at(-1))).toEqual({ plain: [], secret: [PASSWORD_PATH], more: 0 });
  });

  it('an older event that still sets a field; none that is stale or comes twice', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: MASKED, at: 30 }));
    const late = eventRecord({ password: 'MARK-b', at: 20, actor: 'bob', eventId: 'late' });
    await bench.handle(late);
    await bench.handle(late);
    await bench.handle(eventRecord({ password: 'MARK-c', at: 10 }));
    const rows = await applied(bench);
    expect(rows).toHaveLength(3);
    expect(rows.at(-1)).toMatchObject({ actor: 'bob', event_id: 'late' });
    expect(rows.at(-1)?.detail).toMatch(/^late, /);
    expect(fieldsOf(rows.at(-1))?.secret).toEqual([PASSWORD_PATH]);
  });

  it('is bounded in number, length and what a key may show', async () => {
    const bench = await Bench.open();
    await bench.handle(described({ at: 1 }, { description: 'a' }));
    const wide = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`k${n}`, n]));
    const long = Object.fromEntries(Array.from({ length: 90 }, (_, n) => [`${n}${'x'.repeat(3_000)}`, n]));
    await bench.handle(described({ at: 2 }, { extension: { a: 1 } }));
    await bench.handle(described({ at: 3 }, { extension: { a: 1, ...wide } }));
    await bench.handle(described({ at: 4 }, { extension: { a: 1, ...long } }));
    const rows = (await applied(bench)).slice(-2).map(fieldsOf);
    for (const fields of rows) {
      const shown = fields?.plain ?? [];
      expect(shown.length).toBeLessThanOrEqual(100);
      expect(shown.join('').length).toBeLessThanOrEqual(8_192);
    }
    expect(rows[0]).toMatchObject({ more: 400 });
    expect((rows[1]?.plain.length ?? 0) + (rows[1]?.more ?? 0)).toBe(590);
  });
});
