import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inspect } from 'node:util';
import { parsePipeLine } from '../../../src/events/pipe-line.js';
import type { Decoded } from '../../../src/events/decode.js';
import type { JsonObject, SourceRecord } from '../../../src/terms.js';
import { change, decode, entity, record, sampleRecords, TOPICS } from './support.js';

const MARKER = 'm4rk3r-of-a-secret';

/** The samples with every text value, wherever it stands, made recognisable. */
const SEEDS: JsonObject[] = [
  ...sampleRecords().map((sample) => sample.value),
  change({ entity: JSON.stringify(entity({ description: MARKER })) }),
].map(
  (value) =>
    JSON.parse(
      JSON.stringify(value).replace(/"(s3cr3t|hidden|key|fv|pg|wf)-[a-z0-9-]+"/g, `"${MARKER}"`),
    ) as JsonObject,
);

/** Anything in place of a member: values of each type, the marker among them. */
const anything = fc.oneof(
  fc.constantFrom<unknown>(null, true, -1, 0.5, 1e300, '', MARKER, `{"x":"${MARKER}`, [MARKER], {}),
  fc.constant({ a: { b: [MARKER] } }),
  fc.jsonValue({ maxDepth: 3 }),
);

const mutatedObject = fc
  .tuple(fc.constantFrom(...SEEDS), fc.array(fc.tuple(fc.nat(10_000), anything), { maxLength: 4 }))
  .map(([seed, changes]) => {
    const value = structuredClone(seed);
    for (const [at, replacement] of changes) replaceMember(value, at, replacement);
    return Buffer.from(JSON.stringify(value));
  });

function replaceMember(root: JsonObject, at: number, replacement: unknown): void {
  const places: [Record<string, unknown>, string][] = [];
  const collect = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const name of Object.keys(node)) {
      places.push([node as Record<string, unknown>, name]);
      collect((node as Record<string, unknown>)[name]);
    }
  };
  collect(root);
  const place = places[at % places.length];
  if (place !== undefined) place[0][place[1]] = structuredClone(replacement);
}

const mutatedBytes = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(fc.nat(5000), fc.nat(255), fc.constantFrom('set', 'cut', 'insert', 'repeat')), {
      maxLength: 6,
    }),
  )
  .map(([seed, changes]) => {
    let bytes: Buffer = Buffer.from(JSON.stringify(seed));
    for (const [position, byte, how] of changes) {
      const at = position % (bytes.length + 1);
      const head = bytes.subarray(0, at);
      const tail = bytes.subarray(at);
      if (how === 'set') bytes = Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
      else if (how === 'cut') bytes = Buffer.from(head);
      else if (how === 'insert') bytes = Buffer.concat([head, Buffer.from([byte]), tail]);
      else bytes = Buffer.concat([head, head.subarray(-20), tail]);
    }
    return bytes;
  });

const headers = fc.dictionary(
  fc.constantFrom('content-type', 'ce_specversion', 'ce_type', 'ce_id', 'CE_TIME', 'ce_source', '__proto__'),
  fc.oneof(
    fc.constantFrom('application/cloudevents+json', 'application/json', '1.0', 'connection.created', MARKER),
    fc.string(),
  ),
  { maxKeys: 3 },
);

const source = fc.record({
  value: fc.oneof(
    mutatedObject,
    mutatedBytes,
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
  headers,
  topic: fc.constantFrom(TOPICS.created, TOPICS.deleted, 'other'),
  key: fc.constantFrom(null, Buffer.from('k'), Buffer.from([0xff])),
});

function expectNoLeak(decoded: Decoded): void {
  if (decoded.kind !== 'undecodable') return;
  const { error } = decoded;
  const shown = `${inspect(error, { depth: 9, showHidden: true })} ${error.message} ${JSON.stringify(error)}`;
  expect(shown).not.toContain(MARKER);
  expect(error.cause).toBeUndefined();
}

// A generous limit: the runs take a second or two, many times that on a busy machine.
describe('decoding under fuzz', { timeout: 60_000 }, () => {
  it('never throws, never leaks a value, and always gives the same answer', () => {
    const kinds = new Map<string, number>();
    fc.assert(
      fc.property(source, (parts) => {
        const built: SourceRecord = record(parts.value, parts);
        const decoded = decode(built);
        expectNoLeak(decoded);
        expect(decode(built)).toEqual(decoded);
        const kind = decoded.kind === 'undecodable' ? decoded.error.code : decoded.kind;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }),
      { numRuns: 3000 },
    );
    // The fuzz reaches more than the first check.
    expect([...kinds.keys()]).toEqual(
      expect.arrayContaining(['event', 'EVENT_NOT_DECODABLE', 'EVENT_INVALID']),
    );
  });

  it('does the same for lines of a pipe', () => {
    fc.assert(
      fc.property(fc.oneof(mutatedBytes, mutatedObject), fc.boolean(), (bytes, wrapped) => {
        const line = wrapped ? `{"topic":"connection.created","value":${bytes.toString('utf8')}}` : bytes;
        const parsed = parsePipeLine(line, 0, TOPICS, 1);
        if (parsed !== null) expectNoLeak(decode(parsed));
      }),
      { numRuns: 1000 },
    );
  });

  it('changes nothing of what it accepts', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (config) => {
        const state = entity({
          connection: { config: { free: JSON.parse(JSON.stringify(config)) as null } },
        });
        const decoded = decode(record(change({ entity: state })));
        const dropped = /[cC]hangeDescription/.test(JSON.stringify(config));
        fc.pre(!dropped);
        expect(decoded.kind === 'event' && decoded.event.entity).toEqual(state);
      }),
      { numRuns: 500 },
    );
  });
});
