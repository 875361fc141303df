import { describe, expect, it } from 'vitest';
import { EventError } from '../../../src/errors.js';
import { decodeSecuredEvent } from '../../../src/events/decode-secured.js';
import { byteSize, type OutgoingRecord } from '../../../src/transport.js';
import { encodeSecuredEvent } from '../../../src/events/secured-event.js';
import type { JsonObject, SecuredEvent } from '../../../src/terms.js';
import { record, schema, securedEvent } from './support.js';

const DELETED = securedEvent({
  entityType: 'user',
  serviceType: null,
  name: null,
  fullyQualifiedName: null,
  version: null,
  operation: 'deleted',
  manager: 'db',
  store: { provider: 'db' },
  entity: null,
  secretFields: [],
});

const EVENTS: [string, SecuredEvent][] = [
  ['an update', securedEvent()],
  ['a deletion', DELETED],
  ['a store with an account', securedEvent({ store: { provider: 'aws-ssm', region: 'r', account: '1' } })],
  ['an id of colons', securedEvent({ connectionId: 'a:b:c' })],
];

const json = (outgoing: OutgoingRecord) =>
  JSON.parse(outgoing.value?.toString('utf8') ?? 'null') as JsonObject;
const consumed = (outgoing: OutgoingRecord) =>
  record(outgoing.value ?? undefined, { headers: { ...outgoing.headers } });

describe('a secured event', () => {
  it('is a structured CloudEvent', () => {
    const outgoing = encodeSecuredEvent(securedEvent());
    expect(outgoing).toMatchObject({
      stream: 'secured',
      key: 'connection-1',
      headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
    });
    expect(json(outgoing)).toEqual({
      specversion: '1.0',
      id: 'connection-1:1790000000000:4',
      source: '/connection-secrets',
      type: 'connection.secured',
      subject: 'connection-1',
      time: '2026-09-21T14:13:20.000Z',
      datacontenttype: 'application/json',
      data: securedEvent(),
    });
  });

  it('is a binary CloudEvent if that is configured', () => {
    const outgoing = encodeSecuredEvent(securedEvent(), 'binary');
    expect(outgoing.headers).toEqual({
      ce_specversion: '1.0',
      ce_id: 'connection-1:1790000000000:4',
      ce_source: '/connection-secrets',
      ce_type: 'connection.secured',
      ce_subject: 'connection-1',
      ce_time: '2026-09-21T14:13:20.000Z',
      'content-type': 'application/json',
    });
    expect(json(outgoing)).toEqual(securedEvent());
  });

  it.each(EVENTS)('follows its schema and comes back the same: %s', (_, event) => {
    const structured = encodeSecuredEvent(event);
    const whole = schema('connection.secured.cloudevent.json');
    expect(whole(json(structured)), JSON.stringify(whole.errors)).toBe(true);
    expect(decodeSecuredEvent(consumed(structured))).toEqual(event);
    const binary = encodeSecuredEvent(event, 'binary');
    const data = schema('connection.secured.json');
    expect(data(json(binary)), JSON.stringify(data.errors)).toBe(true);
    expect(decodeSecuredEvent(consumed(binary))).toEqual(event);
  });

  it('carries nothing but its own members', () => {
    const own = securedEvent();
    const extra = { ...own, password: 'marker', source: { ...own.source, token: 'marker' } };
    expect(encodeSecuredEvent(extra).value?.toString()).not.toContain('marker');
  });

  it('is null for a tombstone, and unknown members of an event are ignored', () => {
    expect(decodeSecuredEvent(record(undefined))).toBeNull();
    const outgoing = encodeSecuredEvent(securedEvent());
    const more = { ...json(outgoing), later: 1, data: { ...securedEvent(), later: 1 } };
    expect(decodeSecuredEvent(record(JSON.parse(JSON.stringify(more)) as JsonObject))).toEqual(
      securedEvent(),
    );
  });

  it('passes on the words of a newer worker as text, and the schema takes them', () => {
    const words = {
      ...{ manager: 'vault', operation: 'merged', entityType: 'agentService' },
      store: { provider: 'vault', namespace: 'n' },
    };
    const value = { ...securedEvent(), ...words, later: 1 };
    const data = schema('connection.secured.json');
    expect(data(value), JSON.stringify(data.errors)).toBe(true);
    expect(decodeSecuredEvent(record(JSON.parse(JSON.stringify(value)) as JsonObject))).toEqual({
      ...securedEvent(),
      ...words,
    });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no id', { connectionId: null }, '/connectionId'],
    ['a revision that is no number', { revision: 'marker' }, '/revision'],
    ['an operation that is no text', { operation: 1 }, '/operation'],
    ['no manager', { manager: null }, '/manager'],
    ['no store', { store: undefined }, '/store'],
    ['an entity that is a text', { entity: 'marker' }, '/entity'],
    ['no fields', { secretFields: undefined }, '/secretFields'],
    [
      'a path that is none',
      { secretFields: [{ path: 'marker', reference: 'secret:/a', owned: true }] },
      '/secretFields/0/path',
    ],
    [
      'a value as reference',
      { secretFields: [{ path: '/a', reference: 'marker', owned: true }] },
      '/secretFields/0/reference',
    ],
  ])('is refused with %s, by name', (_, members, field) => {
    const value = JSON.parse(JSON.stringify({ ...securedEvent(), ...members })) as JsonObject;
    let thrown: unknown;
    try {
      decodeSecuredEvent(record(value));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(EventError);
    expect(thrown).toMatchObject({ code: 'EVENT_INVALID', field });
    expect((thrown as EventError).message).not.toContain('marker');
    expect(schema('connection.secured.json')(value)).toBe(false);
  });
});

describe('byteSize', () => {
  it('counts bytes of key, value and headers and some for the frame', () => {
    const empty = byteSize({ key: null, value: null, headers: {} });
    const full = byteSize({ key: 'é', value: Buffer.alloc(10), headers: { aé: 'ü' } });
    expect(empty).toBeGreaterThanOrEqual(82);
    expect(full - empty).toBeGreaterThanOrEqual(2 + 10 + 3 + 2 + 2);
    expect(full - empty).toBeLessThan(40);
  });
});
