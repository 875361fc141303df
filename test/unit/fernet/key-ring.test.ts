import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors.js';
import {
  FernetError,
  generateKey,
  isSealed,
  KeyRing,
  openSealed,
  sealText,
  tokenOf,
  toSealed,
} from '../../../src/fernet/index.js';
import { refereeCheck } from '../../../src/fernet/referee.js';

function problemOf(text: string): string {
  try {
    KeyRing.parse('SOME_KEY', text);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  return 'accepted';
}

const secondsOf = (token: string): bigint => Buffer.from(token, 'base64url').readBigUInt64BE(1);

describe('KeyRing.parse', () => {
  it('takes a comma list in base64 and base64url, padded or not, with spaces around', () => {
    const url = generateKey();
    const standard = url.replaceAll('-', '+').replaceAll('_', '/');
    const ring = KeyRing.parse('K', ` ${url} , ${standard.replace('=', '')}`);
    expect(ring.size).toBe(2);
    expect(ring.keyIds[0]).toBe(ring.keyIds[1]);
    expect(ring.primaryKeyId).toMatch(/^[0-9a-f]{16}$/);
  });

  const good = generateKey();
  it.each([
    ['', 'key 1 is empty'],
    [`${good},`, 'key 2 is empty'],
    [`${good},${good.slice(0, 40)}`, 'key 2 is not 32 bytes'],
    [`${good}AAAA`, 'key 1 is not 32 bytes'],
    ['correct horse battery staple', 'key 1 is not 32 bytes'],
    [Buffer.from('0123456789abcdef'.repeat(4)).toString('base64'), 'key 1 is not 32 bytes'],
    [good.slice(0, 42) + '/=', 'key 1 is not 32 bytes'],
    ['jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=', 'key 1 is a public sample key'],
    ['jJ_9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA', 'key 1 is a public sample key'],
    [`${good},cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=`, 'key 2 is a public sample key'],
    [Buffer.alloc(32, 7).toString('base64'), 'key 1 is 32 equal bytes'],
  ])('refuses %#: %s', (text, expected) => {
    const message = problemOf(text);
    expect(message).toContain('SOME_KEY');
    expect(message).toContain(expected);
    for (const item of text.split(',').filter((each) => each.length > 4)) expect(message).not.toContain(item);
  });

  it('names all bad keys at once', () => {
    const message = problemOf(`bad,${good},worse`);
    expect(message).toContain('key 1 ');
    expect(message).toContain('key 3 ');
    expect(message).not.toContain('key 2 ');
  });
});

describe('a key list', () => {
  const oldKey = generateKey();
  const newKey = generateKey();
  const before = KeyRing.parse('FERNET_KEY', oldKey);
  const both = KeyRing.parse('FERNET_KEY', `${newKey},${oldKey}`);
  const after = KeyRing.parse('FERNET_KEY', newKey);

  it('seals with the first key and opens with any', () => {
    const old = before.seal('value');
    expect(both.open(old)).toBe('value');
    expect(both.indexOf(old)).toBe(1);
    const fresh = both.seal('value');
    expect(both.indexOf(fresh)).toBe(0);
    expect(after.open(fresh)).toBe('value');
    expect(before.opens(fresh)).toBe(false);
    expect(before.indexOf(fresh)).toBeNull();
    expect(both.indexOf('no token')).toBeNull();
  });

  it('rotates a token: seals it with the first key, under the same time', () => {
    const old = before.seal('value', Date.UTC(2001, 0, 1));
    const rotated = both.rotate(old);
    expect(after.open(rotated)).toBe('value');
    expect(secondsOf(rotated)).toBe(BigInt(Date.UTC(2001, 0, 1) / 1000));
    expect(() => after.rotate(old)).toThrow(FernetError);
  });

  it('rotates a token with a time that no clock of ours could have written', () => {
    const token = before.seal('value', 8.64e15);
    expect(secondsOf(both.rotate(token))).toBe(secondsOf(token));
  });

  it('never prints a key', () => {
    const key = generateKey();
    const ring = KeyRing.parse('K', key);
    const holder = { ring, list: [ring] };
    const raw = Buffer.from(key, 'base64url');
    for (const shown of [
      inspect(holder, { depth: 10, showHidden: true }),
      JSON.stringify(holder),
      String(ring),
      ring.keyIds.join(),
      inspect(Object.getOwnPropertyDescriptors(ring), { depth: 10, showHidden: true }),
    ]) {
      for (const form of [key, key.slice(0, 43), raw.toString('hex'), raw.toString('hex').slice(0, 32)]) {
        expect(shown).not.toContain(form);
      }
    }
    expect(ring.revealKeys()).toEqual([key]);
  });

  it('handles the fernet: prefix', () => {
    const sealed = sealText(before, 'value');
    expect(isSealed(sealed)).toBe(true);
    expect(isSealed('secret:/a')).toBe(false);
    expect(toSealed(tokenOf(sealed))).toBe(sealed);
    expect(openSealed(before, sealText(before, 'secret:/a/b'))).toBe('secret:/a/b');
    expect(openSealed(after, toSealed(both.rotate(tokenOf(sealed))))).toBe('value');
    expect(() => openSealed(before, tokenOf(sealed))).toThrow(FernetError);
  });

  it('agrees with the referee, both ways, under every key', async () => {
    const result = await refereeCheck(both);
    expect(result).toEqual({
      ok: true,
      name: 'FERNET_KEY',
      keys: both.keyIds.map((keyId) => ({ keyId, ours: 'agrees', theirs: 'agrees' })),
    });
  });
});

describe('KeyRing.sealRepeatably', () => {
  const ring = KeyRing.parse('K', `${generateKey()},${generateKey()}`);
  const token = ring.sealRepeatably('s3cr3t', 'a 1 /password', 1_700_000_000_000);

  it('gives the same token again, under the time it was told', () => {
    expect(ring.sealRepeatably('s3cr3t', 'a 1 /password', 1_700_000_000_999)).toBe(token);
    expect([ring.open(token), secondsOf(token)]).toEqual(['s3cr3t', 1_700_000_000n]);
  });

  const ivOf = (sealed: string): string => Buffer.from(sealed, 'base64url').subarray(9, 25).toString('hex');
  it.each([
    ['text', ring.sealRepeatably('s3cr3u', 'a 1 /password', 1_700_000_000_000)],
    ['place', ring.sealRepeatably('s3cr3t', 'a 2 /password', 1_700_000_000_000)],
    ['key', KeyRing.parse('K', generateKey()).sealRepeatably('s3cr3t', 'a 1 /password', 1_700_000_000_000)],
    ['end of the place', ring.sealRepeatably('words3cr3t', 'a 1 /pass', 1_700_000_000_000)],
  ])('has another IV for another %s', (_, other) => {
    expect(ivOf(other)).not.toBe(ivOf(token));
  });
});
