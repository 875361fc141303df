import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  compileCatalogue,
  createFieldFinder,
  type Catalogue,
  type CatalogueOptions,
} from '../../../src/catalog/index.js';
import { escapeKey, parsePath } from '../../../src/catalog/json-path.js';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { cleanSegment } from '../../../src/ids/index.js';
import { ClaimGuard } from '../../../src/pipeline/claim.js';
import { EventProcessor } from '../../../src/pipeline/event-processor.js';
import { Lanes } from '../../../src/pipeline/group.js';
import { Pipeline } from '../../../src/pipeline/pipeline.js';
import { UnderClaim } from '../../../src/pipeline/under-claim.js';
import { UndecodableProcessor } from '../../../src/pipeline/undecodable.js';
import type { Json, JsonObject } from '../../../src/terms.js';
import { sourceRecord, T0 } from '../pipeline/events.js';
import { Bench, NEVER } from './fixture.js';

const RUNS = 250;
/** Stands in every text that a field may keep to itself. */
const MARKER = 'MARK-';

const keys = fc.oneof(
  fc.constantFrom(
    'name',
    'a',
    'b',
    'c',
    'password',
    'apiKey',
    'options',
    '__proto__',
    'constructor',
    '0',
    'x.y',
  ),
  fc.string({ maxLength: 5, unit: 'grapheme' }),
);
/** `~` becomes a text that no other place of the entity has. */
const texts = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom('~', '~ "quoted"\n', '100%~ 密码 🔑', `{"a":"~"}`, 'https://user:~@host/x'),
  },
  fc.constantFrom('', 'true', 'secret:/elsewhere/x', '${PASSWORD}'),
);
const { json } = fc.letrec<{ json: Json; object: JsonObject }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 4, arbitrary: texts },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.array(tie('json'), { maxLength: 3 }),
    tie('object'),
    tie('object'),
  ),
  object: fc.array(fc.tuple(keys, tie('json')), { maxLength: 5 }).map(objectOf),
}));
const configs = fc.array(fc.tuple(keys, json), { minLength: 1, maxLength: 6 }).map(objectOf);

/** By way of JSON, as events come: `__proto__` is an own member then. */
function objectOf(members: readonly [string, Json][]): JsonObject {
  const unique = new Map(members);
  const text = [...unique].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return JSON.parse(`{${text.join(',')}}`) as JsonObject;
}

const pathTexts = fc
  .array(fc.oneof(fc.constant('*'), keys.filter((key) => key !== '').map(escapeKey)), {
    minLength: 1,
    maxLength: 3,
  })
  .map((path) => path.join('.'));
const catalogues: fc.Arbitrary<Catalogue> = fc
  .array(pathTexts, { minLength: 1, maxLength: 6 })
  .map((paths) => ({
    format: 1,
    provenance: { source: 'a test', licence: 'none', versions: [] },
    connectors: { 'database/ours': paths },
    entities: {},
  }));

/** The catalogue with paths to some of the entity's texts: random ones hardly ever meet. */
function meeting(catalogue: Catalogue, config: JsonObject, picks: readonly number[]): Catalogue {
  const places: string[] = [];
  walk(config, (value, _, keyPath) => {
    if (typeof value === 'string' && !keyPath.includes('')) places.push(keyPath.map(escapeKey).join('.'));
  });
  const more = picks.flatMap((pick) => places[pick % places.length] ?? []).filter((path) => path !== '');
  const paths = [...(catalogue.connectors['database/ours'] ?? []), ...more];
  return { ...catalogue, connectors: { 'database/ours': paths } };
}

/** Every text in the entity made one of its own. */
function withMarkers(value: Json): Json {
  let number = 0;
  return JSON.parse(JSON.stringify(value), (_, member: Json) =>
    typeof member === 'string' ? member.replace('~', () => `${MARKER}${(number += 1)}-`) : member,
  ) as Json;
}

type Visit = (value: Json, pointer: string, keyPath: readonly string[]) => void;

const picks = fc.array(fc.nat(1_000), { maxLength: 4 });

/** Every place of an entity, by recursion: nothing in common with the finder. */
function walk(value: Json, visit: Visit, pointer = '', keyPath: readonly string[] = []): void {
  visit(value, pointer, keyPath);
  if (value === null || typeof value !== 'object') return;
  const escaped = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');
  if (Array.isArray(value)) value.forEach((member, at) => walk(member, visit, `${pointer}/${at}`, keyPath));
  else
    for (const [key, member] of Object.entries(value))
      walk(member, visit, `${pointer}/${escaped(key)}`, [...keyPath, key]);
}

/** Pointers to texts at which the catalogue has a path. */
function declaredPointers(catalogue: Catalogue, entity: JsonObject): Set<string> {
  const paths = (catalogue.connectors['database/ours'] ?? []).map((text) => parsePath(text) ?? []);
  const found = new Set<string>();
  walk(entity, (value, pointer, keyPath) => {
    if (typeof value !== 'string' || value === '') return;
    const below = keyPath.slice(2);
    const isDeclared = paths.some(
      (path) =>
        path.length === below.length && path.every((one, at) => typeof one === 'symbol' || one === below[at]),
    );
    if (isDeclared && keyPath[0] === 'connection' && keyPath[1] === 'config') found.add(pointer);
  });
  return found;
}

/** The entity's places outside of the given ones, in their order; `''` under a secret's key may come out as null. */
function plainPlaces(entity: Json, secret: ReadonlySet<string>): string[] {
  const places: string[] = [];
  walk(entity, (value, pointer) => {
    if (secret.has(pointer)) places.push(pointer);
    else if (value === null || typeof value !== 'object')
      places.push(`${pointer} ${JSON.stringify(value === '' ? null : value)}`);
    else places.push(`${pointer} ${Array.isArray(value) ? '[' : '{'}`);
  });
  return places;
}

function textAt(entity: Json, pointer: string): string {
  let text = '';
  walk(entity, (value, at) => {
    if (at === pointer && typeof value === 'string') text = value;
  });
  return text;
}

let bench: Bench;
let number = 0;

/** The bench's pipeline under another catalogue. */
function pipelineOf(catalogue: Catalogue, byName: CatalogueOptions['byName']): Pipeline {
  const { database, identity, managers, context: base } = bench.worker;
  const options = { byName, unknownConnector: 'heuristic', extraPaths: [], excludedPaths: [] } as const;
  const fields = createFieldFinder({
    catalogue: compileCatalogue(catalogue, options),
    cleanSegment: (text) => cleanSegment('slash', text),
  });
  const context = { ...base, fields };
  const clock = (): number => performance.now();
  const ledger = new DatabaseLedger(database, {
    claimMs: 15_000,
    managerEpoch: identity.managerEpoch,
    clock,
  });
  const guard = new ClaimGuard({
    gateOf: () => ({ acquire: () => Promise.resolve() }),
    ledger,
    clock,
    storeTimeoutMs: 1_000,
  });
  const underClaim = new UnderClaim({ ledger, outlet: bench.outlet, context, clock });
  return new Pipeline({
    topics: {
      created: 'connection.created',
      updated: 'connection.updated',
      deleted: 'connection.deleted',
    },
    clockSkewMs: 300_000,
    context,
    ledger,
    processor: new EventProcessor({
      ...{ context, managers, underClaim, guard, clock },
      storeLanes: 16,
    }),
    lanes: new Lanes(),
    undecodable: new UndecodableProcessor(context, ledger, bench.outlet, underClaim),
    observer: { handled: (record) => bench.handled.push(record), failed: () => undefined },
    clock,
    now: Date.now,
  });
}

const eventOf = (id: string, at: number, entity: Json) =>
  sourceRecord({
    id: `${id}-${at}`,
    eventType: 'entityUpdated',
    entityType: 'databaseService',
    entityId: id,
    timestamp: T0 + at,
    entity,
  });

beforeAll(async () => {
  bench = await Bench.open({ DATABASE_URL: 'sqlite::memory:' });
});

describe.each(['report', 'externalise'] as const)(
  'any entity under any catalogue, SECRET_BY_NAME=%s',
  { timeout: 240_000 },
  (byName) => {
    it('no secret goes out, nothing else changes, and the output as input changes nothing', async () => {
      const counts = { applied: 0, fields: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(catalogues, configs, picks, async (random, config, places) => {
          bench.topics.records.length = 0;
          const catalogue = meeting(random, config, places);
          number += 1;
          const id = `connection-${byName}-${number}`;
          const entity = { id, name: id, serviceType: 'Ours', connection: { config: withMarkers(config) } };
          const pipeline = pipelineOf(catalogue, byName);
          const puts = bench.puts.length;
          const outcome = await pipeline.handle(eventOf(id, 1, entity), NEVER);
          if (outcome === 'refused') {
            counts.refused += 1;
            expect(bench.puts).toHaveLength(puts);
            expect(JSON.stringify(bench.topics.records.map(({ value }) => value?.toString()))).not.toContain(
              MARKER,
            );
            return;
          }
          expect(outcome).toBe('applied');
          const first = bench.sent(id);
          const secret = new Set(first?.secretFields.map(({ path }) => path));
          counts.applied += 1;
          counts.fields += secret.size;
          const declared = declaredPointers(catalogue, entity);
          if (byName === 'report') expect(secret).toEqual(declared);
          else expect([...declared].filter((pointer) => !secret.has(pointer))).toEqual([]);
          // (a)
          const output = bench.topics.records.at(-1)?.value?.toString() ?? '';
          const rows = await bench.query(`SELECT entity FROM connection WHERE id = '${id}'`);
          for (const pointer of secret) {
            const marker = /MARK-\d+-/.exec(textAt(entity, pointer))?.[0];
            if (marker !== undefined)
              expect([output.includes(marker), JSON.stringify(rows).includes(marker)]).toEqual([
                false,
                false,
              ]);
          }
          // (b)
          expect(plainPlaces(first?.entity ?? null, secret)).toEqual(plainPlaces(entity, secret));
          // (c)
          const { calls } = bench;
          expect(await pipeline.handle(eventOf(id, 2, first?.entity ?? null), NEVER)).toBe('applied');
          const second = bench.sent(id);
          expect(bench.calls).toBe(calls);
          expect(JSON.stringify(second?.entity)).toBe(JSON.stringify(first?.entity));
          expect(second?.secretFields).toEqual(first?.secretFields);
        }),
        { numRuns: RUNS },
      );
      expect(counts.applied).toBeGreaterThan(RUNS / 3);
      expect(counts.fields).toBeGreaterThan(RUNS / 2);
    });
  },
);
