import { readFileSync } from 'node:fs';
import type { FieldFinder } from '../../src/catalog/field-finder.js';
import { decodeRecord } from '../../src/events/decode.js';
import type { JsonObject, SourceRecord } from '../../src/terms.js';

/** Begins every text that stands where a secret does: easy to search for, whatever it is cut to. */
export const CANARY = 'canaryzq';
const CANARY_TEXT = /canaryzq[0-9a-z]{0,6}/gi;

export const TOPICS = {
  created: 'connection.created',
  updated: 'connection.updated',
  deleted: 'connection.deleted',
} as const;

/** After every sample's time. */
export const NOW_MS = 1_790_001_000_000;

export interface Sample {
  readonly topic: string;
  readonly value: JsonObject;
}

/** Canaries in a text, lower-cased, whole or cut. */
export function canariesIn(text: string): string[] {
  return text.match(CANARY_TEXT)?.map((found) => found.toLowerCase()) ?? [];
}

/** The sample events of docs and tests, each value of a secret field a canary of its own. */
export function samplesWithCanaries(fields: FieldFinder): Sample[] {
  return [...unitSamples(), ...exampleSamples()].map((sample, index) => {
    const value = JSON.parse(JSON.stringify(sample.value)) as JsonObject;
    const decoded = decodeRecord(sourceOf({ ...sample, value }), TOPICS, NOW_MS);
    if (decoded.kind !== 'event' || decoded.event.entity === null) return sample;
    const { root, kind, serviceType, entity } = decoded.event;
    const found = fields.find({ root, kind, serviceType, entity }).fields;
    // In the text: the entity may be a text itself, or lie in an envelope.
    let text = JSON.stringify(value);
    for (const [number, { value: secret }] of found.entries())
      if (secret !== null && isPlainText(secret))
        text = text.replaceAll(inner(secret), `${CANARY}${index.toString(36).padStart(3, '0')}${number}`);
    return { topic: sample.topic, value: withHistory(JSON.parse(text) as JsonObject) };
  });
}

/** What OpenMetadata adds: old values and new ones, which are nobody's fields. */
function withHistory(value: JsonObject): JsonObject {
  const history = {
    fieldsUpdated: [{ name: 'connection', oldValue: `${CANARY}old`, newValue: `${CANARY}new` }],
  };
  const { entity } = value;
  if (typeof entity === 'object' && entity !== null && !Array.isArray(entity))
    Object.assign(entity, { changeDescription: history, nested: { incrementalChangeDescription: history } });
  return { ...value, changeDescription: history };
}

/** A text as it stands between the quotes of a JSON document. */
function inner(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Masks, references and tokens stay what they are. */
function isPlainText(text: string): boolean {
  return text !== '' && text !== 'null' && !/^(\*+$|secrets?:|fernet:)/.test(text);
}

export function sourceOf({ topic, value }: Sample): SourceRecord {
  return {
    topic,
    partition: 0,
    offset: 1,
    key: null,
    value: Buffer.from(JSON.stringify(value)),
    headers: {},
    timestampMs: 1_790_000_500_000,
  };
}

function unitSamples(): Sample[] {
  return JSON.parse(text('../unit/events/data/records.json')) as Sample[];
}

function exampleSamples(): Sample[] {
  return text('../../examples/events/connections.ndjson')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);
}

function text(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}
