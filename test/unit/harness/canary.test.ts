import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { CANARY, findCanary } from '../../harness/canary.js';

const bytes = Buffer.from(CANARY);
const around = (inner: Buffer): Buffer => Buffer.concat([Buffer.from('{"x":"'), inner, Buffer.from('"}')]);

describe('the search for a canary finds it', () => {
  it.each<[string, string, Buffer | string]>([
    ['as it is', 'utf8', around(bytes)],
    ['in a text', 'utf8', `x${CANARY}y`],
    ['in UTF-16, little end first', 'utf16le', around(Buffer.from(CANARY, 'utf16le'))],
    ['in UTF-16, big end first', 'utf16be', around(Buffer.from(CANARY, 'utf16le').swap16())],
    ['in hex', 'hex', bytes.toString('hex')],
    ['in upper case hex', 'hex', bytes.toString('hex').toUpperCase()],
    ['in a printed buffer', 'hex', inspect(bytes)],
    ['in JSON', 'json', JSON.stringify({ x: CANARY })],
    ['in JSON in JSON', 'json', JSON.stringify(JSON.stringify({ x: CANARY }))],
    ['in ASCII JSON', 'json', `"${JSON.stringify(CANARY).slice(1, -1).replace('é', '\\u00e9')}"`],
    ['in an address', 'url', `http://x/?a=${encodeURIComponent(CANARY)}`],
    ['in a form', 'url', new URLSearchParams({ a: CANARY }).toString()],
  ])('%s', (_title, encoding, where) => {
    expect(findCanary(where)).toContain(encoding);
    // Nor is it only the part of letters and digits that is found.
    expect(findCanary(where, CANARY.replace(/[A-Za-z0-9]{8,}/, 'other7text5here'))).toEqual([]);
  });

  it.each(['base64', 'base64url'] as const)('in %s, at any place in the encoded text', (encoding) => {
    for (const before of ['', 'a', 'ab', 'abc', 'abcd'])
      for (const after of ['', 'x', 'xy', 'xyz']) {
        const text = Buffer.from(before + CANARY + after).toString(encoding);
        expect(findCanary(`"${text}"`), before + '…' + after).toContain(encoding);
      }
  });

  it('by a part of it', () => {
    expect(findCanary(`Duplicate entry '${CANARY.slice(0, 16)}`)).toContain('utf8');
  });

  it('and finds nothing if it is not there', () => {
    expect(findCanary(around(Buffer.from('something else')))).toEqual([]);
    expect(findCanary('')).toEqual([]);
  });
});
