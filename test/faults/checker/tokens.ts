import npmFernet from 'fernet';
import type { OpenToken } from './read-stores.js';

/** Opens `fernet:` tokens with the npm package, an implementation that is not ours; null where no key opens it. */
export function tokenOpener(keys: readonly string[]): OpenToken {
  const secrets = keys.map((key) => new npmFernet.Secret(key.replaceAll('+', '-').replaceAll('/', '_')));
  return (text) => {
    const token = text.startsWith('fernet:') ? text.slice('fernet:'.length) : text;
    for (const secret of secrets) {
      try {
        return new npmFernet.Token({ secret, token, ttl: 0 }).decode();
      } catch {
        // Another key's.
      }
    }
    return null;
  };
}
