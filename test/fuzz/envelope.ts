import type { Json, JsonObject } from '../../src/terms.js';
import type { Random } from './random.js';
import { aCanary, anyKey, anyValue } from './values.js';

const BAD_BYTES = Buffer.of(0xff, 0xfe, 0x00, 0xc3);
const NAMES = [
  'content-type',
  'Content-Type',
  'ce_specversion',
  'ce_type',
  'ce_id',
  'ce_source',
  'ce_time',
  'CE_ID',
];
const TEXTS = [
  '',
  '1.0',
  '0.3',
  'application/json',
  'application/json; charset=utf-16',
  'application/cloudevents+json',
  'APPLICATION/CLOUDEVENTS+JSON; charset="UTF-8"',
  'application/cloudevents+avro',
  'application/cloudevents-batch+json',
  'connection.created',
  'connection.deleted',
  'connection.secured',
  '2026-09-21T14:13:20Z',
  '2026-99-99T99:99:99Z',
  '/source',
  'x'.repeat(5_000),
  'p\u0000q',
];

/** Headers as somebody's client might set them: of CloudEvents, of others, no texts at all. */
export function anyHeaders(random: Random): Record<string, Buffer> {
  const headers: [string, Buffer][] = [];
  for (let count = random.below(5); count > 0; count -= 1) headers.push([anyName(random), anyBytes(random)]);
  return Object.fromEntries(headers);
}

/** The headers of a CloudEvent in binary mode, one of them perhaps something else. */
export function binaryHeaders(random: Random): Record<string, Buffer> {
  const headers: Record<string, Buffer> = {
    'content-type': Buffer.from('application/json'),
    ce_specversion: Buffer.from('1.0'),
    ce_type: Buffer.from('connection.updated'),
    ce_id: Buffer.from(`event-${random.below(1_000)}`),
    ce_source: Buffer.from('/metadata-server'),
    ce_time: Buffer.from('2026-09-21T14:13:20Z'),
  };
  if (random.chance(3)) delete headers[random.pick(NAMES)];
  return random.chance(2) ? headers : { ...headers, [random.pick(NAMES)]: anyBytes(random) };
}

/** A change event in the envelope of structured mode, which is whole or not. */
export function structured(change: JsonObject, random: Random): JsonObject {
  const envelope: Record<string, Json> = {
    specversion: '1.0',
    id: `event-${random.below(1_000)}`,
    source: '/metadata-server',
    type: 'connection.updated',
    time: '2026-09-21T14:13:20Z',
    datacontenttype: 'application/json',
  };
  const text = JSON.stringify(change);
  switch (random.below(5)) {
    case 0:
      envelope['data'] = text;
      break;
    case 1:
      envelope['data_base64'] = Buffer.from(text).toString('base64');
      break;
    case 2:
      envelope['data_base64'] = random.chance(2) ? text : Buffer.from(text).toString('base64url');
      break;
    default:
      envelope['data'] = change;
  }
  if (random.chance(3)) envelope[random.pick(Object.keys(envelope))] = anyValue(random);
  if (random.chance(6)) envelope[anyKey(random)] = anyValue(random);
  return envelope;
}

export function anyRecordKey(random: Random): Buffer | null {
  switch (random.below(7)) {
    case 0:
      return null;
    case 1:
      return Buffer.alloc(0);
    case 2:
      return BAD_BYTES;
    case 3:
      return Buffer.alloc(random.chance(50) ? 100_000 : random.pick([255, 256]), 'k');
    case 4:
      return Buffer.from(random.pick(['"quoted"', 'with space', 'größe', 'id\u0000', '🔑', '{"id":1}']));
    default:
      return Buffer.from('11111111-0000-4000-8000-000000000001');
  }
}

function anyName(random: Random): string {
  return random.chance(3) ? anyKey(random) : random.pick(NAMES);
}

function anyBytes(random: Random): Buffer {
  if (random.chance(8)) return BAD_BYTES;
  return Buffer.from(random.chance(6) ? aCanary(random) : random.pick(TEXTS));
}
