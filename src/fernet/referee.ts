import { randomBytes } from 'node:crypto';
import { KeyRing } from './key-ring.js';

/** What became of one key: our tokens opened by npm `fernet`, and its tokens opened by us. */
export interface RefereeKeyResult {
  readonly keyId: string;
  readonly ours: 'agrees' | 'differs' | 'failed';
  readonly theirs: 'agrees' | 'differs' | 'failed';
}

export interface RefereeResult {
  readonly ok: boolean;
  /** The setting the keys came from. */
  readonly name: string;
  readonly keys: readonly RefereeKeyResult[];
}

/**
 * Checks our codec against the npm package `fernet` (an independent implementation) under every key of a ring: sealed
 * with one, opened with the other, both ways. The texts are random; nothing configured is sealed.
 *
 * The package is loaded here and nowhere else: it is slow, accepts invalid tokens and changes `String.prototype`.
 */
export async function refereeCheck(ring: KeyRing): Promise<RefereeResult> {
  const { default: npmFernet } = await import('fernet');
  const text = `referee ü€😀 ${randomBytes(24).toString('base64')}`;
  const keys = ring.revealKeys().map((keyText, index): RefereeKeyResult => {
    const single = KeyRing.parse(ring.name, keyText);
    const secret = new npmFernet.Secret(keyText);
    return {
      keyId: ring.keyIds[index] ?? '',
      // ttl 0: its default age limit of 60 s would refuse on a clock that is a minute off.
      ours: verdict(text, () => new npmFernet.Token({ secret, token: single.seal(text), ttl: 0 }).decode()),
      theirs: verdict(text, () => single.open(new npmFernet.Token({ secret, ttl: 0 }).encode(text))),
    };
  });
  const ok = keys.every((key) => key.ours === 'agrees' && key.theirs === 'agrees');
  return { ok, name: ring.name, keys };
}

function verdict(expected: string, roundTrip: () => string): 'agrees' | 'differs' | 'failed' {
  try {
    return roundTrip() === expected ? 'agrees' : 'differs';
  } catch {
    // Neither library's text is worth showing: the verdict is.
    return 'failed';
  }
}
