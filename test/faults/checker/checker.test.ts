import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { PipeBench } from './bench.js';
import { Broken, sql, told } from './broken.js';
import { DAMAGES, deletedAt, missOf, VALUE } from './damages.js';
import { account, checkInvariants, gather } from './index.js';

/** What only a topic with partitions can show: servers.test.ts. */
const OF_SERVERS = ['offset-behind', 'record-key', 'topic-partitions'];

describe('the checker on a run through pipe', () => {
  let local: PipeBench;
  let db: PipeBench;
  beforeAll(async () => {
    local = await PipeBench.run('local');
    db = await PipeBench.run('db');
  });

  it('finds nothing on healthy data', async () => {
    expect(await checkInvariants(local.copy().input)).toEqual([]);
    expect(await checkInvariants(db.copy().input)).toEqual([]);
  });

  it.each(DAMAGES)('%s: (%i) %s', async (_name, invariant, kind, damage) => {
    const run = new Broken(local.copy());
    damage(run);
    const violations = await checkInvariants(run.input);
    expect(violations.map((one) => `${one.invariant} ${one.kind}`)).toContain(`${invariant} ${kind}`);
    expect(JSON.stringify(violations)).not.toContain(VALUE);
  });

  it('takes for accounted what the worker has told as missed', async () => {
    const run = new Broken(local.copy());
    sql(`DELETE FROM inbox WHERE event_id = 'event-changed-2'`)(run);
    sql(missOf(1, 12))(run);
    told(deletedAt(11))(run);
    const violations = await checkInvariants(run.input);
    // Its secured event is still there, which is another thing.
    expect(violations.map(({ kind }) => kind)).toEqual(['secured-stray']);
    const { database } = await gather(run.input);
    const counts = account(run.input.published, database);
    expect(counts.get('missed')).toBe(1);
    expect(counts.get('lost')).toBeUndefined();
    const unique = new Set(
      run.input.published.map(({ connectionId, eventId }) => `${connectionId} ${eventId}`),
    );
    expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(unique.size);
  });

  it('db: a token with another value', async () => {
    const run = new Broken(db.copy());
    run.lines((lines) => {
      const fieldsOf = (connection: string) =>
        lines.findLast(({ data }) => data.connectionId === connection)!.data.secretFields;
      for (const field of fieldsOf('changed')) field.reference = fieldsOf('soft')[0]!.reference;
      return lines;
    });
    const violations = await checkInvariants(run.input);
    expect(violations.map(({ kind }) => kind)).toContain('value-differs');
  });

  it('has a broken example of everything it reports', () => {
    const folder = new URL('.', import.meta.url);
    const judges = readdirSync(folder).filter((name) => name.startsWith('judge-'));
    const texts = judges.map((name) => readFileSync(new URL(name, folder), 'utf8'));
    const reported = texts.flatMap((text) =>
      [...text.matchAll(/report\(\s*'([a-z-]+)'/g)].map(([, kind]) => kind),
    );
    expect(reported.length).toBeGreaterThan(40);
    const shown = new Set([...DAMAGES.map(([, , kind]) => kind), ...OF_SERVERS]);
    expect(reported.filter((kind) => !shown.has(kind ?? ''))).toEqual([]);
  });
});
