import { describe, expect, it } from 'vitest';
import { EventError } from '../../../src/errors.js';
import { encodeDeadLetter, packRecord, unpackRecord } from '../../../src/events/dead-letter.js';
import type { DeadLetterNotice } from '../../../src/events/dead-letter.js';
import { byteSize } from '../../../src/transport.js';
import type { SourceRecord } from '../../../src/terms.js';
import { change, record, schema } from './support.js';

const NOTICE: DeadLetterNotice = {
  code: 'NUMBER_NOT_EXACT',
  source: { topic: 'connection.updated', partition: 2, offset: 7 },
  eventId: 'event-1',
  connectionId: 'connection-1',
  time: '2026-09-21T14:13:20.000Z',
};
const UNKNOWN = { ...NOTICE, eventId: null, connectionId: null };

describe('a dead letter', () => {
  it('says in its headers what it is, where it came from and when', () => {
    expect(encodeDeadLetter(NOTICE, 'fernet:token', 10_000)).toEqual({
      stream: 'dead-letter',
      key: 'connection-1',
      value: Buffer.from('fernet:token'),
      headers: {
        code: 'NUMBER_NOT_EXACT',
        'source-topic': 'connection.updated',
        'source-partition': '2',
        'source-offset': '7',
        'event-id': 'event-1',
        'connection-id': 'connection-1',
        time: '2026-09-21T14:13:20.000Z',
        payload: 'sealed',
      },
    });
  });

  it('has no value if the value does not fit', () => {
    const whole = encodeDeadLetter(NOTICE, 'x'.repeat(5000), 10_000);
    const limit = byteSize(whole);
    expect(encodeDeadLetter(NOTICE, 'x'.repeat(5000), limit)).toEqual(whole);
    const cut = encodeDeadLetter(NOTICE, 'x'.repeat(5000), limit - 1);
    expect(cut).toMatchObject({ value: null, headers: { payload: 'table', code: 'NUMBER_NOT_EXACT' } });
  });

  it('says if it has no source record', () => {
    const bare = encodeDeadLetter({ ...NOTICE, eventId: null }, null, 10_000);
    expect(bare).toMatchObject({ value: null, headers: { payload: 'none' } });
  });

  it.each([
    ['all ids known', NOTICE],
    ['no id known', UNKNOWN],
  ])('follows its schema with %s', (_, notice) => {
    const validate = schema('dead-letter.headers.json');
    for (const payload of ['fernet:x', null]) {
      const { headers, key } = encodeDeadLetter(notice, payload, 10_000);
      expect(validate(headers), JSON.stringify(validate.errors)).toBe(true);
      expect(key).toBe(notice.connectionId);
    }
  });
});

describe('the payload of a dead letter', () => {
  it.each<[string, SourceRecord]>([
    [
      'an event',
      record(change(), { key: Buffer.from('k'), headers: { 'content-type': 'x', __proto__x: 'y' } }),
    ],
    ['bytes that are no text', record(Buffer.from([0xff, 0, 1]), { key: Buffer.from([0xfe]) })],
    ['nothing', record(undefined, { timestampMs: -1 })],
  ])('gives the record back as it came: %s', (_, source) => {
    const bytes = packRecord(source);
    const validate = schema('dead-letter.payload.json');
    expect(validate(JSON.parse(bytes.toString())), JSON.stringify(validate.errors)).toBe(true);
    expect(unpackRecord(bytes)).toEqual(source);
  });

  it.each(['', '{}', '[]', '{"headers":{}}', '{"headers":{},"topic":"t"}'])('is refused as %s', (text) => {
    expect(() => unpackRecord(Buffer.from(text))).toThrow(EventError);
  });
});
