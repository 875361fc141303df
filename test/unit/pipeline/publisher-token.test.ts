import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventError } from '../../../src/errors.js';
import { generateKey, KeyRing, packEnvelope, sealText, toSealed } from '../../../src/fernet/index.js';
import { openPublished, type TokenOpener } from '../../../src/pipeline/prepare.js';
import { sealedFor } from '../../harness/index.js';

const [KEY, OTHER_KEY] = [generateKey(), generateKey()];
const RING = KeyRing.parse('K', KEY);
const OTHERS = KeyRing.parse('O', OTHER_KEY);
const PLACE = { connectionId: 'c1', pointer: '/connection/config/password' };
const opener = (publisherTokens: 'bound' | 'any', publisher: KeyRing | null = RING): TokenOpener => ({
  rings: { publisher },
  rules: { publisherTokens },
});

function outcome(given: string, place = PLACE, by = opener('bound')): string {
  try {
    return `opened: ${openPublished(given, place, by)}`;
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    expect(error.message).not.toContain('MARK');
    expect(error.field).toBe(place.pointer);
    return error.code;
  }
}

describe('a token in an event', () => {
  it.each([
    ['for this field', sealedFor(KEY, 'c1', 'MARK'), 'opened: MARK'],
    ['whose value looks like a token', sealedFor(KEY, 'c1', sealedFor(KEY, 'c1', 'MARK')), 'opened: fernet:'],
    ['for another connection', sealedFor(KEY, 'c2', 'MARK'), 'TOKEN_FOR_ANOTHER_FIELD'],
    ['for another field', sealedFor(KEY, 'c1', 'MARK', '/connection/config/x'), 'TOKEN_FOR_ANOTHER_FIELD'],
    ['that names no field', sealText(RING, 'MARK'), 'TOKEN_NOT_BOUND'],
    [
      'with an envelope inside a plain layer',
      sealText(RING, sealedFor(KEY, 'c1', 'MARK')),
      'TOKEN_NOT_BOUND',
    ],
    ['with a broken envelope', sealText(RING, 'csw1:{"connectionId":"c1"}'), 'TOKEN_NOT_BOUND'],
    ['with no JSON', sealText(RING, 'csw1:MARK'), 'TOKEN_NOT_BOUND'],
    ['with null', sealText(RING, 'csw1:null'), 'TOKEN_NOT_BOUND'],
    [
      'with one member more',
      sealText(RING, 'csw1:{"connectionId":"c1","path":"/connection/config/password","value":"MARK","x":1}'),
      'TOKEN_NOT_BOUND',
    ],
    ['under another key', sealedFor(OTHER_KEY, 'c1', 'MARK'), 'TOKEN_NOT_OPENED'],
    ['that is none', 'fernet:MARK', 'TOKEN_NOT_OPENED'],
  ])('%s', (_, given, expected) => {
    expect(outcome(given)).toMatch(new RegExp(`^${expected}`));
  });

  it('is refused where there is no publisher’s key, whatever it is', () => {
    for (const given of [sealedFor(KEY, 'c1', 'MARK'), sealText(RING, 'MARK'), 'fernet:'])
      expect(outcome(given, PLACE, opener('any', null))).toBe('TOKEN_NOT_OPENED');
  });

  it('with PUBLISHER_TOKENS=any may name no field, in three layers; one that names a field is held to it', () => {
    const any = opener('any');
    const layers = (count: number): string =>
      Array.from({ length: count }).reduce<string>((text) => sealText(RING, text), 'MARK');
    expect(outcome(layers(1), PLACE, any)).toBe('opened: MARK');
    expect(outcome(layers(3), PLACE, any)).toBe('opened: MARK');
    expect(outcome(layers(4), PLACE, any)).toBe('TOKEN_NOT_OPENED');
    expect(outcome(sealText(RING, sealedFor(KEY, 'c1', 'MARK')), PLACE, any)).toBe('opened: MARK');
    expect(outcome(sealText(RING, sealedFor(KEY, 'c2', 'MARK')), PLACE, any)).toBe('TOKEN_FOR_ANOTHER_FIELD');
  });

  it('never gives the value of another field, wherever it is copied to and however it is changed', () => {
    const id = fc.constantFrom('c1', 'c2', 'C1', 'c1 ', '');
    const path = fc.constantFrom(
      '/connection/config/password',
      '/connection/config/apiKey',
      '/a/0/b',
      '/a/1/b',
      '',
    );
    const field = fc.record({ connectionId: id, pointer: path });
    const sealing = fc.constantFrom<(text: string) => string>(
      (text) => sealText(RING, text),
      (text) => sealText(OTHERS, text),
      (text) => toSealed(text),
    );
    let cases = 0;
    fc.assert(
      fc.property(
        field,
        field,
        sealing,
        fc.array(sealing, { maxLength: 2 }),
        fc.nat(),
        (owner, thief, seal, more, cut) => {
          cases += 1;
          const envelope = packEnvelope({
            connectionId: owner.connectionId,
            path: owner.pointer,
            value: 'MARK',
          });
          const sealed = more.reduce((text, again) => again(text), seal(envelope));
          const given = cut % 5 === 0 ? changed(sealed, cut) : sealed;
          const isOwn = owner.connectionId === thief.connectionId && owner.pointer === thief.pointer;
          const result = outcome(given, thief);
          if (!isOwn) expect(result).not.toMatch(/^opened: .*MARK/s);
          if (isOwn && given === sealText(RING, envelope)) expect(result).toBe('opened: MARK');
        },
      ),
      { numRuns: 20_000 },
    );
    expect(cases).toBeGreaterThanOrEqual(20_000);
  });
});

/** One character of a token is another one. */
function changed(sealed: string, at: number): string {
  const index = 'fernet:'.length + (at % Math.max(1, sealed.length - 'fernet:'.length));
  return sealed.slice(0, index) + (sealed[index] === 'A' ? 'B' : 'A') + sealed.slice(index + 1);
}
