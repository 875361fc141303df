import { describe, expect, it } from 'vitest';
import type { Json, SourceRecord } from '../../src/terms.js';
import { anyHeaders, anyRecordKey, binaryHeaders, structured } from './envelope.js';
import { makeEvent } from './made.js';
import { mutateBytes, mutateJsonText } from './mutate.js';
import type { Random } from './random.js';
import { FACTOR, fuzz, summary, type Scene } from './run.js';
import { sourceOf, TOPICS } from './samples.js';
import { openWorld } from './scenes.js';
import { anyKey, anyValue } from './values.js';

const ENVELOPES = 10_000 * FACTOR;
const LINES = 10_000 * FACTOR;
const world = openWorld();

/** An event as a CloudEvent in either mode, or bare with headers and a key that mean nothing. */
function enveloped(random: Random): { input: SourceRecord; scene: Scene } {
  const { sample, value, scene } = makeEvent(world, random, 2);
  const [body, headers] = wrapped(value, random);
  let bytes: Buffer = Buffer.from(JSON.stringify(body));
  if (random.chance(20)) bytes = mutateBytes(bytes, random);
  return { input: { ...sourceOf(sample), key: anyRecordKey(random), value: bytes, headers }, scene };
}

function wrapped(
  value: Parameters<typeof structured>[0],
  random: Random,
): [body: Json, headers: Record<string, Buffer>] {
  switch (random.below(4)) {
    case 0:
      return [value, anyHeaders(random)];
    case 1:
      return [random.chance(10) ? JSON.stringify(value) : value, binaryHeaders(random)];
    default:
      return [structured(value, random), random.chance(2) ? {} : anyHeaders(random)];
  }
}

/** An event as a line of a pipe: bare, in an envelope, or as a record. */
function line(random: Random): { input: Buffer; scene: Scene } {
  const { value, scene } = makeEvent(world, random, 2);
  const body = random.chance(3) ? structured(value, random) : value;
  let text = JSON.stringify(random.chance(2) ? body : recordOf(body, random));
  if (random.chance(5)) text = mutateJsonText(text, random);
  const bytes = Buffer.from(text);
  return { input: random.chance(20) ? mutateBytes(bytes, random) : bytes, scene };
}

function recordOf(body: Json, random: Random): Json {
  const topics = [TOPICS.created, TOPICS.updated, 'x', 'ünï', 't'.repeat(600), 'a\u0000b', '', 7, null];
  const record: Record<string, Json> = {
    topic: random.chance(3) ? random.pick(topics) : TOPICS.updated,
    value: random.chance(4) ? JSON.stringify(body) : body,
  };
  if (random.chance(2))
    record['key'] = random.chance(4) ? anyValue(random) : random.pick(['k', '', 'ключ', 'a\u0000']);
  if (random.chance(2)) record['headers'] = random.chance(4) ? anyValue(random) : textHeaders(random);
  if (random.chance(6)) record[anyKey(random)] = anyValue(random);
  return record;
}

function textHeaders(random: Random): Json {
  const headers = random.chance(2) ? anyHeaders(random) : binaryHeaders(random);
  return Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString('utf8')]));
}

describe('envelopes, headers and keys', { timeout: 600_000 * Math.max(1, FACTOR) }, () => {
  it(`${ENVELOPES} of them: nothing throws, nothing leaks, what comes out is as the schemas say`, () => {
    const result = fuzz('envelopes', ENVELOPES, enveloped);
    console.log(summary('envelopes', result));
    expect(result.withSecrets).toBeGreaterThan(ENVELOPES / 2);
    expect([...result.outcomes.keys()]).toEqual(
      expect.arrayContaining(['applied', 'refused EVENT_INVALID', 'refused EVENT_NOT_DECODABLE']),
    );
  });

  it(`${LINES} lines of a pipe: the same`, () => {
    const result = fuzz('lines', LINES, line);
    console.log(summary('lines', result));
    expect(result.withSecrets).toBeGreaterThan(LINES / 2);
    expect([...result.outcomes.keys()]).toEqual(
      expect.arrayContaining(['applied', 'refused EVENT_INVALID', 'refused EVENT_NOT_DECODABLE']),
    );
  });
});
