import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { PipeBench } from './bench.js';
import { Broken } from './broken.js';
import { DAMAGES, VALUE } from './damages.js';
import { checkInvariants } from './index.js';

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
