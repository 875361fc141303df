import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../../src/terms.js';
import { change, decode, decodedEvent, record, refusalOf } from './support.js';

const STRUCTURED = { 'content-type': 'application/cloudevents+json' };

function envelope(members: Record<string, Json | undefined> = {}): JsonObject {
  const event = {
    specversion: '1.0',
    id: 'ce-1',
    source: '/server',
    type: 'connection.created',
    data: change(),
    ...members,
  };
  return JSON.parse(JSON.stringify(event)) as JsonObject;
}

describe('a structured CloudEvent', () => {
  it.each([
    ['by its header', STRUCTURED],
    ['with parameters', { 'Content-Type': 'Application/CloudEvents+JSON ; charset="UTF-8"' }],
    ['by its members', {}],
    ['with another content type', { 'content-type': 'application/json' }],
  ])('is known %s', (_, headers) => {
    expect(decodedEvent(record(envelope(), { headers }))).toMatchObject({ eventId: 'event-1' });
  });

  it('may carry its data as a JSON string or in base64', () => {
    const text = JSON.stringify(change());
    const encoded = Buffer.from(text).toString('base64');
    const expected = decodedEvent(record(change()));
    expect(decodedEvent(record(envelope({ data: text })))).toEqual(expected);
    expect(decodedEvent(record(envelope({ data: undefined, data_base64: encoded })))).toEqual(expected);
  });

  it.each([
    ['connection.created', 'entityCreated'],
    ['connection.updated', 'entityUpdated'],
    ['connection.deleted', 'entityDeleted'],
    ['entitySoftDeleted', 'entitySoftDeleted'],
  ])('of type %s means %s where the change event does not say', (type, eventType) => {
    const source = record(envelope({ type, data: change({ eventType: undefined }) }));
    expect(decodedEvent(source).eventType).toBe(eventType);
  });

  it('of another type does not fall back on the topic', () => {
    const source = record(envelope({ type: 'other', data: change({ eventType: undefined }) }));
    expect(refusalOf(source)).toEqual(['EVENT_INVALID', '/data/eventType']);
  });

  it('leaves the meaning to the change event', () => {
    expect(decodedEvent(record(envelope({ type: 'other' }))).eventType).toBe('entityUpdated');
  });

  it('needs neither id nor source if the change event has an id', () => {
    const source = record(envelope({ id: undefined, source: undefined }), { headers: STRUCTURED });
    expect(decodedEvent(source).eventId).toBe('event-1');
  });

  it.each<[string, Record<string, Json | undefined>, string, string | null]>([
    ['another version', { specversion: '0.3' }, 'EVENT_INVALID', '/specversion'],
    ['no version', { specversion: undefined }, 'EVENT_INVALID', '/specversion'],
    ['an id that is no text', { id: 5 }, 'EVENT_INVALID', '/id'],
    ['no data', { data: undefined }, 'EVENT_INVALID', '/data'],
    ['null data', { data: null }, 'EVENT_INVALID', '/data'],
    ['a list as data', { data: [] }, 'EVENT_INVALID', '/data'],
    ['text that is not JSON', { data: 'x' }, 'EVENT_NOT_DECODABLE', '/data'],
    ['data twice', { data_base64: 'e30=' }, 'EVENT_INVALID', '/data_base64'],
    ['bad base64', { data: undefined, data_base64: 'e30' }, 'EVENT_NOT_DECODABLE', '/data_base64'],
    ['a wrong member', { data: change({ entityId: 5 }) }, 'EVENT_INVALID', '/data/entityId'],
  ])('is refused with %s', (_, members, code, field) => {
    expect(refusalOf(record(envelope(members), { headers: STRUCTURED }))).toEqual([code, field]);
  });

  it.each([
    ['a batch by its header', 'application/cloudevents-batch+json', 'EVENT_INVALID'],
    ['another format', 'application/cloudevents+avro', 'EVENT_NOT_DECODABLE'],
    ['another charset', 'application/cloudevents+json; charset=utf-16', 'EVENT_NOT_DECODABLE'],
  ])('is refused as %s', (_, type, code) => {
    expect(refusalOf(record(envelope(), { headers: { 'content-type': type } }))[0]).toBe(code);
  });

  it('is refused as a list, whatever the header says', () => {
    expect(refusalOf(record([envelope()]))[0]).toBe('EVENT_INVALID');
    expect(refusalOf(record([envelope()], { headers: STRUCTURED }))[0]).toBe('EVENT_INVALID');
  });
});

describe('a binary CloudEvent', () => {
  const headers = {
    CE_SpecVersion: '1.0',
    ce_id: 'ce-1',
    ce_source: '/server',
    ce_type: 'connection.deleted',
    ce_time: '2026-01-01T00:00:00Z',
    'content-type': 'application/json; charset=utf-8',
  };

  it('takes its attributes from the headers, in any case', () => {
    const bare = change({ id: undefined, eventType: undefined, timestamp: undefined });
    expect(decodedEvent(record(bare, { headers }))).toMatchObject({
      eventId: '/server#ce-1',
      eventType: 'entityDeleted',
      timestampMs: Date.UTC(2026, 0, 1),
    });
  });

  it.each<[string, string | null]>([
    ['connection.created', 'entityCreated'],
    ['com.acme.connection.updated.v1', 'entityUpdated'],
    ['com.acme.connection.deleted', 'entityDeleted'],
    ['entityRestored', 'entityRestored'],
    ['com.acme.myconnection.created', null],
    ['connection.createdv1', null],
    ['connection.created.connection.deleted', null],
  ])('of type %s, in headers with a hyphen, means %s', (type, meant) => {
    const hyphened = { 'ce-specversion': '1.0', 'ce-id': 'ce-1', 'ce-source': '/server', 'ce-type': type };
    const source = record(change({ id: undefined, eventType: undefined }), { headers: hyphened });
    if (meant === null) expect(refusalOf(source)).toEqual(['EVENT_INVALID', '/eventType']);
    else expect(decodedEvent(source)).toMatchObject({ eventId: '/server#ce-1', eventType: meant });
  });

  it('may carry its data as a JSON string', () => {
    expect(decode(record(JSON.stringify(change()), { headers })).kind).toBe('event');
  });

  it('is refused in another version', () => {
    const source = record(change(), { headers: { ...headers, CE_SpecVersion: '2.0' } });
    expect(refusalOf(source)).toEqual(['EVENT_INVALID', '/specversion']);
  });
});
