import { describe, expect, it } from 'vitest';
import { parsePipeLine } from '../../../src/events/pipe-line.js';
import type { Json, SourceRecord } from '../../../src/terms.js';
import { change, decode, decodedEvent, refusalOf, sampleRecords, TOPICS } from './support.js';

const READ_AT_MS = 1_790_000_000_000;

function parse(line: string | Buffer | Json, number = 3): SourceRecord {
  const text = typeof line === 'string' || Buffer.isBuffer(line) ? line : JSON.stringify(line);
  const record = parsePipeLine(text, number, TOPICS, READ_AT_MS);
  if (record === null) throw new Error('blank');
  return record;
}

describe('a line of a pipe', () => {
  it('may be a record, and other members of it are ignored', () => {
    const line = { topic: 't', key: 'k', headers: { h: 'v' }, note: 'n', value: change(), timestamp: 1 };
    expect(parse(line)).toEqual({
      topic: 't',
      partition: 0,
      offset: 3,
      key: Buffer.from('k'),
      headers: { h: Buffer.from('v') },
      value: Buffer.from(JSON.stringify(change())),
      timestampMs: READ_AT_MS,
    });
  });

  it('passes the value’s bytes on as they are written', () => {
    const value = '{ "a" : 9007199254740993, "a":"\\u0062", "ü": [1.0 , {"value":1}] }';
    expect(
      parse(`\ufeff { "note":"{\\"value\\":", "topic" :"t", "value" : ${value} , "z":1 } \r`).value,
    ).toEqual(Buffer.from(value));
  });

  it('takes a text as the value itself, and null as a tombstone', () => {
    expect(parse({ topic: 't', value: '{"a":1}' }).value).toEqual(Buffer.from('{"a":1}'));
    expect(parse({ topic: 't', key: null, headers: null, value: null })).toMatchObject({
      value: null,
      key: null,
    });
    expect(parse({ topic: 't', value: [1] }).value).toEqual(Buffer.from('[1]'));
  });

  it.each([
    ['entityCreated', TOPICS.created],
    ['entityUpdated', TOPICS.updated],
    ['entityRestored', TOPICS.updated],
    ['entitySoftDeleted', TOPICS.deleted],
    ['entityDeleted', TOPICS.deleted],
  ])('may be a bare change event: %s belongs to %s', (eventType, topic) => {
    const text = JSON.stringify(change({ eventType }));
    expect(parse(text)).toMatchObject({ topic, value: Buffer.from(text), key: null, headers: {} });
    const cloud = { specversion: '1.0', id: '1', source: '/', type: 'x', data: change({ eventType }) };
    expect(parse(cloud).topic).toBe(topic);
    expect(decodedEvent(parse(cloud)).eventType).toBe(eventType);
  });

  it('may be a CloudEvent whose type says what happened', () => {
    const data = change({ eventType: undefined });
    const line = { specversion: '1.0', id: '1', source: '/', type: 'connection.created', data };
    expect(parse(line).topic).toBe(TOPICS.created);
    expect(decodedEvent(parse(line)).eventType).toBe('entityCreated');
  });

  it.each(['', '  ', '\r', '\t \r\n'])('may be blank: %j', (line) => {
    expect(parsePipeLine(line, 0, TOPICS, READ_AT_MS)).toBeNull();
  });

  it('decodes for every sample', () => {
    for (const sample of sampleRecords()) {
      expect(decodedEvent(parse(JSON.stringify({ ...sample, note: 'x' }))).eventId).toBe(sample.value['id']);
    }
  });

  it.each<[string, string | Buffer, string]>([
    ['no JSON', 'marker', 'EVENT_NOT_DECODABLE'],
    ['cut off', '{"topic":"connection.created","value":{"id":', 'EVENT_NOT_DECODABLE'],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'EVENT_NOT_DECODABLE'],
    ['too deep', '['.repeat(10_000), 'EVENT_TOO_DEEP'],
    ['no object', '5', 'EVENT_INVALID'],
    ['a topic that is no text', JSON.stringify({ topic: 5, value: change() }), 'EVENT_INVALID'],
    [
      'a topic longer than a secured event names',
      JSON.stringify({ topic: 't'.repeat(513), value: change() }),
      'EVENT_INVALID',
    ],
    ['a topic with NUL', JSON.stringify({ topic: 'a\0b', value: change() }), 'EVENT_INVALID'],
    [
      'a key that is no text',
      JSON.stringify({ topic: TOPICS.updated, key: 5, value: change() }),
      'EVENT_INVALID',
    ],
    [
      'headers that are no texts',
      JSON.stringify({ topic: 't', headers: { a: 1 }, value: change() }),
      'EVENT_INVALID',
    ],
    ['no value', JSON.stringify({ topic: TOPICS.updated }), 'EVENT_INVALID'],
    [
      'two values',
      `{"topic":"${TOPICS.updated}","value":${JSON.stringify(change())},"value":null}`,
      'EVENT_INVALID',
    ],
    ['two topics', `{"topic":"a","topic":"b","value":${JSON.stringify(change())}}`, 'EVENT_INVALID'],
    ['half a surrogate', '{"topic":"connection.created","value":"\\ud800"}', 'EVENT_INVALID'],
    ['half a surrogate in a key', '{"topic":"connection.created","value":{"\\ud800":1}}', 'EVENT_INVALID'],
    ['a number as value', '{"topic":"connection.created","value":1e999}', 'NUMBER_NOT_EXACT'],
    ['a bare event of no type', JSON.stringify(change({ eventType: undefined })), 'EVENT_INVALID'],
  ])('becomes a record that is refused: %s', (_, line, code) => {
    const record = parse(line);
    expect(record).toMatchObject({ partition: 0, offset: 3 });
    expect(refusalOf(record)[0]).toBe(code);
  });

  it('names the connection of a refused record', () => {
    const value = JSON.stringify(change()).replace('0.2', '9007199254740993');
    const decoded = decode(parse(`{"topic":"${TOPICS.updated}","value":${value}}`));
    expect(decoded).toMatchObject({ error: { code: 'NUMBER_NOT_EXACT' }, connectionId: 'connection-1' });
  });
});
