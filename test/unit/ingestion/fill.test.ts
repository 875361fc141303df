import { describe, expect, it } from 'vitest';
import { fillEntity, reveal } from '../../../src/ingestion/fill.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { JsonObject } from '../../../src/terms.js';

const value = new SecretValue('v');
const parsed = (text: string): JsonObject => JSON.parse(text) as JsonObject;

describe('filling an entity', () => {
  it.each([
    ['a free-form map', '{"connectionOptions":{"a/b~c":"secret:/x","":"y"}}', '/connectionOptions/a~1b~0c'],
    ['an empty key', '{"a":{"":"secret:/x"}}', '/a/'],
    ['an array', '{"servers":[{"k":1},{"apiKey":"secret:/x"}]}', '/servers/1/apiKey'],
    ['an element itself', '{"list":["a","secret:/x"]}', '/list/1'],
    ['a key that numbers', '{"m":{"0":"secret:/x"}}', '/m/0'],
    ['a key named __proto__', '{"__proto__":{"password":"secret:/x"}}', '/__proto__/password'],
    ['a member named __proto__', '{"a":{"__proto__":"secret:/x"}}', '/a/__proto__'],
    ['a member named constructor', '{"constructor":"secret:/x"}', '/constructor'],
  ])('works for %s', (_, text, path) => {
    const entity = parsed(text);
    const filled = reveal(fillEntity(entity, [{ path, reference: 'secret:/x', value }]));
    expect(JSON.stringify(filled)).toBe(text.replace('secret:/x', 'v'));
    expect(JSON.stringify(entity)).toBe(text);
    expect(({} as Record<string, unknown>)['password']).toBeUndefined();
  });

  it.each([
    ['nothing is there', '/b'],
    ['something else is there', '/c'],
    ['the way ends early', '/a/b/c'],
    ['it is inherited', '/constructor'],
    ['it is the whole', ''],
    ['it is no pointer', 'a'],
  ])('refuses where %s', (_, path) => {
    const entity = { a: 'secret:/x', c: 'plain' };
    expect(() => fillEntity(entity, [{ path, reference: 'secret:/x', value }])).toThrow(
      expect.objectContaining({ code: 'EVENT_INVALID' }),
    );
  });

  it('does not mistake one filled value for a container', () => {
    const entity = { a: 'secret:/x' };
    const fields = [
      { path: '/a', reference: 'secret:/x', value },
      { path: '/a/length', reference: 'secret:/x', value },
    ];
    expect(() => fillEntity(entity, fields)).toThrow(/\/a\/length/);
  });
});
