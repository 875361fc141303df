import { describe, expect, it } from 'vitest';
import { ValueScanner } from './leaks.js';
import { expectedConnections, type ExpectedField } from './oracle.js';
import type { PublishedEvent } from './types.js';

const FIELD = '/password';
const MASK = '*********';

function event(
  at: number,
  password: string | null | undefined,
  more: Partial<PublishedEvent> = {},
): PublishedEvent {
  const fields = password === undefined ? {} : { [FIELD]: password };
  return {
    eventId: `e${at}`,
    connectionId: 'c',
    eventType: 'entityUpdated',
    timestampMs: at,
    version: at,
    fields,
    ...more,
  };
}

function password(...events: PublishedEvent[]): ExpectedField | undefined {
  return expectedConnections(events).get('c')?.fields.get(FIELD);
}

describe('the oracle', () => {
  it('takes the newest by time, whatever arrived when', () => {
    expect(password(event(2, 'new'), event(1, 'old'))).toEqual({ kind: 'text', text: 'new' });
  });

  it('takes the higher version of one time, no version being the lowest', () => {
    expect(password(event(1, 'with', { version: 0.1 }), event(1, 'without', { version: null }))).toEqual({
      kind: 'text',
      text: 'with',
    });
    expect(password(event(1, 'b', { version: 0.3 }), event(1, 'a', { version: 0.2 }))).toEqual({
      kind: 'text',
      text: 'b',
    });
  });

  it('takes the higher offset within a partition', () => {
    const place = (offset: number) => ({ place: { topic: 't', partition: 1, offset } });
    expect(password(event(1, 'b', place(5)), event(1, 'a', place(4)))).toEqual({ kind: 'text', text: 'b' });
  });

  it('does not guess where nothing tells', () => {
    const place = (partition: number) => ({ place: { topic: 't', partition, offset: 1 } });
    expect(() => password(event(1, 'b', place(1)), event(1, 'a', place(2)))).toThrow(/nothing tells/);
    expect(password(event(1, 'a', place(1)), event(1, 'a', place(2)))).toEqual({ kind: 'text', text: 'a' });
  });

  it('looks behind masks, as far as the field had a value', () => {
    expect(password(event(1, 'text'), event(2, MASK), event(3, MASK))).toEqual({
      kind: 'text',
      text: 'text',
    });
    expect(password(event(1, 'secret:/x'), event(2, MASK))).toEqual({
      kind: 'reference',
      reference: 'secret:/x',
    });
    expect(password(event(1, 'text'), event(2, null), event(3, MASK))).toEqual({ kind: 'unknown' });
    const deleted = event(2, undefined, { eventType: 'entityDeleted' });
    expect(password(event(1, 'text'), deleted, event(3, MASK))).toEqual({ kind: 'unknown' });
  });

  it('knows cleared, absent and deleted', () => {
    expect(password(event(1, 'text'), event(2, null))).toEqual({ kind: 'none' });
    expect(password(event(1, 'text'), event(2, ''))).toEqual({ kind: 'none' });
    expect(password(event(1, 'text'), event(2, undefined))).toEqual({ kind: 'none' });
    const deleted = event(1, undefined, { eventType: 'entityDeleted', eventId: 'd' });
    expect(password(event(1, 'text'), deleted)).toEqual({ kind: 'none' });
    expect(expectedConnections([event(1, 'text'), deleted]).get('c')?.state).toBe('deleted');
    const soft = event(2, MASK, { eventType: 'entitySoftDeleted' });
    expect(expectedConnections([event(1, 'text'), soft]).get('c')?.state).toBe('softDeleted');
  });
});

describe('the search for values', () => {
  const values = ['first-value-ü"1', 'second/value+2', 'third value 3'];
  const scanner = new ValueScanner(values);
  const forms: readonly (readonly [string, (value: string) => string])[] = [
    ['as it is', (value) => value],
    ['in JSON', (value) => JSON.stringify({ value })],
    ['in JSON in JSON', (value) => JSON.stringify(JSON.stringify({ value }))],
    ['in a URL', (value) => `https://host/?a=${encodeURIComponent(value)}&b=1`],
    ['in hexadecimal', (value) => Buffer.from(`a${value}b`).toString('hex')],
    ['in base64', (value) => Buffer.from(value).toString('base64')],
    ['in base64, one byte later', (value) => Buffer.from(`a${value}b`).toString('base64')],
    ['in base64, two bytes later', (value) => Buffer.from(`ab${value}bc`).toString('base64')],
  ];

  it.each(forms)('finds each value %s', (_name, form) => {
    values.forEach((value, index) => expect(scanner.find(`before ${form(value)} after`)).toEqual([index]));
    values.forEach((value, index) => expect(scanner.find(form(value))).toEqual([index]));
  });

  it('finds nothing else, and several at once', () => {
    expect(scanner.find('first-value, second/value, third value')).toEqual([]);
    expect(scanner.find(values.join(','))).toEqual([0, 1, 2]);
    expect(scanner.find('')).toEqual([]);
  });

  it('refuses values that are too short to be told from other text', () => {
    expect(() => new ValueScanner(['short'])).toThrow(/8 characters/);
  });
});
