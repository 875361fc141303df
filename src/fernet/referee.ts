import { randomBytes } from 'node:crypto';
import { KeyRing } from './key-ring.js';

/** `differs`: the other library opened another text than was sealed. `failed`: it could not open the token. */
type RoundTrip = 'agrees' | 'differs' | 'failed';

/** The result for one key. `ours`: npm `fernet` opened our token. `theirs`: we opened its token. */
interface RefereeKeyResult {
  readonly keyId: string;
  readonly ours: RoundTrip;
  readonly theirs: RoundTrip;
}

interface RefereeResult {
  readonly ok: boolean;
  /** The setting the keys came from. */
  readonly name: string;
  readonly keys: readonly RefereeKeyResult[];
}

/**
 * Checks our codec against the npm package `fernet`, an independent implementation. With every key of a ring, each of
 * the two opens what the other one sealed: a random text.
 *
 * Only this function loads the package: it is slow, accepts invalid tokens and changes `String.prototype`.
 */
export async function refereeCheck(ring: KeyRing): Promise<RefereeResult> {
  const { default: npmFernet } = await import('fernet');
  const text = `referee ü€😀 ${randomBytes(24).toString('base64')}`;
  const keys = ring.revealKeys().map((keyText, index): RefereeKeyResult => {
    const single = KeyRing.parse(ring.name, keyText);
    const secret = new npmFernet.Secret(keyText);
    return {
      keyId: ring.keyIds[index] ?? '',
      // ttl 0 turns its age limit of 60 s off, which would refuse tokens where the clock is a minute off.
      ours: verdict(text, () => new npmFernet.Token({ secret, token: single.seal(text), ttl: 0 }).decode()),
      theirs: verdict(text, () => single.open(new npmFernet.Token({ secret, ttl: 0 }).encode(text))),
    };
  });
  const ok = keys.every((key) => key.ours === 'agrees' && key.theirs === 'agrees');
  return { ok, name: ring.name, keys };
}

function verdict(expected: string, roundTrip: () => string): RoundTrip {
  try {
    return roundTrip() === expected ? 'agrees' : 'differs';
  } catch {
    return 'failed'; // the caller shows this verdict, so the library's own text is not needed
  }
}
