import type { StoreLimits } from '../port.js';

/**
 * What every storage of Vault takes: Consul's has entries of 512 KiB and paths of 512 bytes, the integrated one more.
 * Source: https://developer.hashicorp.com/vault/docs/internals/limits
 */
export const VAULT_LIMITS: StoreLimits = {
  maxValueBytes: 262_144,
  maxIdLength: 512,
  refusedTexts: [],
  refusedId: {
    // eslint-disable-next-line no-control-regex -- they are what is refused
    pattern: /[\u0000-\u001f\u007f]|\/\/|\/$|(?:^|\/)\.{1,2}(?:\/|$)|^\/?$/,
    reason: 'Vault takes no control characters, no empty part, no . or .. and no slash at the end of a path',
  },
};
