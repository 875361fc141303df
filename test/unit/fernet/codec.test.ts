import { createCipheriv, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FernetKey,
  openToken,
  parseToken,
  sealBytes,
  timeBytes,
  FernetError,
  type FernetReason,
} from '../../../src/fernet/codec.js';
import { generateKey, KeyRing } from '../../../src/fernet/key-ring.js';

interface Vector {
  readonly desc?: string;
  readonly token: string;
  readonly now: string;
  readonly src?: string;
  readonly secret: string;
  readonly iv?: number[];
}
const vectors = JSON.parse(readFileSync(new URL('./data/vectors.json', import.meta.url), 'utf8')) as Record<
  'generate' | 'verify' | 'invalid',
  Vector[]
>;

function keyOf(text: string): FernetKey {
  const key = FernetKey.parse(text);
  if (key === null) throw new Error('test key');
  return key;
}

function openVector({ token, secret }: Vector): string {
  return openToken(parseToken(token), [keyOf(secret)]).toString('utf8');
}

function reasonOf(action: () => unknown): FernetReason | 'opened' {
  try {
    action();
    return 'opened';
  } catch (error) {
    if (error instanceof FernetError) return error.reason;
    throw error;
  }
}

describe('the vectors of the Fernet specification', () => {
  it('has vectors to check', () => {
    expect(vectors.generate.length + vectors.verify.length + vectors.invalid.length).toBe(10);
  });

  it.each(vectors.generate)('generates $token', ({ src = '', secret, now, iv = [], token }) => {
    const time = timeBytes(Date.parse(now));
    expect(sealBytes(Buffer.from(src), keyOf(secret), time, Buffer.from(iv))).toBe(token);
  });

  it.each(vectors.verify)('opens $token', (vector) => {
    expect(openVector(vector)).toBe(vector.src);
  });

  const reasons: Record<string, FernetReason | 'opened'> = {
    'incorrect mac': 'mac',
    'too short': 'too-short',
    'invalid base64': 'not-base64',
    'payload size not multiple of block size': 'block-size',
    'payload padding error': 'padding',
    // Only an age limit could refuse these two, and stored tokens have none.
    'far-future TS (unacceptable clock skew)': 'opened',
    'expired TTL': 'opened',
    'incorrect IV (causes padding error)': 'padding',
  };
  it.each(vectors.invalid)('judges as the specification does, but for age: $desc', (vector) => {
    expect(reasonOf(() => openVector(vector))).toBe(reasons[vector.desc ?? '']);
  });
});

describe('what is not a token', () => {
  const keyText = generateKey();
  const ring = KeyRing.parse('FERNET_KEY', keyText);

  it('refuses every flipped bit', () => {
    const token = Buffer.from(ring.seal('a password'), 'base64url');
    for (let bit = 0; bit < token.length * 8; bit += 1) {
      const changed = Buffer.from(token);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(reasonOf(() => ring.open(changed.toString('base64url')))).toBe('mac');
    }
  });

  it('refuses every cut', () => {
    const token = ring.seal('a password').replace(/=+$/, '');
    for (let length = 0; length < token.length; length += 1) {
      expect(ring.opens(token.slice(0, length))).toBe(false);
    }
  });

  it('accepts only one spelling of a token, padded or not', () => {
    // 73 bytes leave one digit with four unused bits, so that 16 spellings decode alike.
    const token = ring.seal('short');
    const digits = token.replace(/=+$/, '');
    const padding = token.slice(digits.length);
    expect(padding).toMatch(/^={1,2}$/);
    const last = digits.slice(-1);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const accepted = [...alphabet].filter((digit) => ring.opens(digits.slice(0, -1) + digit));
    expect(accepted).toEqual([last]);
    expect(ring.opens(digits)).toBe(true);
    for (const spelling of [
      `${digits}=${padding}`,
      ` ${token}`,
      `${token}\n`,
      `${digits.slice(0, 8)}\n${digits.slice(8)}`,
      `${digits}${padding.slice(1)}${padding.length === 1 ? '==' : ''}`,
      token.replace('g', '='),
    ]) {
      expect(reasonOf(() => ring.open(spelling))).toBe('not-base64');
    }
  });

  it('refuses the standard alphabet, which other decoders mix in', () => {
    let token = '';
    while (!/[-_]/.test(token)) token = ring.seal('x');
    expect(reasonOf(() => ring.open(token.replaceAll('-', '+').replaceAll('_', '/')))).toBe('not-base64');
  });

  it('refuses another version, an empty text and bytes that are not UTF-8, all genuinely signed', () => {
    const raw = Buffer.from(keyText, 'base64url');
    const sign = (signed: Buffer): string =>
      Buffer.concat([signed, createHmac('sha256', raw.subarray(0, 16)).update(signed).digest()]).toString(
        'base64url',
      );
    const head = (version: number): Buffer => Buffer.concat([Buffer.of(version), Buffer.alloc(24)]);
    const cipher = createCipheriv('aes-128-cbc', raw.subarray(16), Buffer.alloc(16));
    const notText = Buffer.concat([cipher.update(Buffer.of(0xff, 0xfe)), cipher.final()]);
    expect(reasonOf(() => ring.open(sign(Buffer.concat([head(0x81), Buffer.alloc(16)]))))).toBe('version');
    expect(reasonOf(() => ring.open(sign(head(0x80))))).toBe('block-size');
    expect(reasonOf(() => ring.open(sign(Buffer.concat([head(0x80), notText]))))).toBe('not-text');
  });

  it('says nothing of token, text or key in its errors', () => {
    const token = ring.seal('hunter2');
    const error = (() => {
      try {
        KeyRing.parse('FERNET_KEY', generateKey()).open(token);
      } catch (caught) {
        return caught;
      }
      return null;
    })();
    expect(String(error)).toBe('FernetError: Fernet: mac');
  });

  it('never throws anything but FernetError, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.base64String(), fc.string()), (text) => {
        expect(reasonOf(() => ring.open(text))).not.toBe('opened');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('round trips', () => {
  const ring = KeyRing.parse('FERNET_KEY', generateKey());

  it.each(['', 'a', 'ä€😀', '\ufeffwith a byte order mark', '\u0000', 'x'.repeat(100 * 1024), '=\n"\\'])(
    'text %# comes back as it was',
    (text) => {
      expect(ring.open(ring.seal(text))).toBe(text);
    },
  );

  it('gives back any well-formed text and refuses any other', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(ring.open(ring.seal(text))).toBe(text);
      }),
    );
    expect(reasonOf(() => ring.seal('a\ud800b'))).toBe('not-text');
    expect(reasonOf(() => ring.seal('\udc00'))).toBe('not-text');
  });

  it('uses a fresh IV for each token', () => {
    expect(ring.seal('same', 0)).not.toBe(ring.seal('same', 0));
  });
});
