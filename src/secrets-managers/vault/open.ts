import { readFileSync } from 'node:fs';
import { ConfigurationError } from '../../errors.js';
import { Ownership } from '../ownership.js';
import type { OpenedStore } from '../provider.js';
import { Requester } from '../requester.js';
import type { ManagerDeps, Tag } from '../settings.js';
import { VaultAuth } from './auth.js';
import { classifyVault } from './errors.js';
import { VaultHttp } from './http.js';
import { VAULT_LIMITS } from './limits.js';
import { VaultRequests } from './requests.js';
import { either, NAME, trimmed, type VaultSettings } from './settings.js';
import { VaultStore } from './store.js';

const MOUNT = 'secret';
const DEFAULT_CHECK_ID = '/openmetadata/connection-secrets';
/** Of `custom_metadata`; four keys are ours. */
const MAX_TAGS = 60;
const MAX_KEY_BYTES = 128;
const MAX_VALUE_BYTES = 512;

/**
 * One connection pool and the store on it. Makes no call.
 *
 * @throws ConfigurationError CONFIG_INVALID where something that is needed is not set, or a tag is more than Vault takes
 */
export function openVaultStore(settings: VaultSettings, deps: ManagerDeps): OpenedStore {
  const { values, requestTimeoutMs, tags } = settings;
  const address = either(values, 'ADDR');
  if (address == null)
    throw new ConfigurationError('CONFIG_INVALID', 'VAULT_ADDR (or BAO_ADDR) is needed and not set');
  requireFitting(tags);
  const namespace = either(values, 'NAMESPACE') ?? null;
  const mount = trimmed(either(values, 'MOUNT') ?? MOUNT);
  const authorities = either(values, 'CACERT');
  const http = new VaultHttp(
    address,
    namespace,
    authorities == null ? null : readFileSync(authorities, 'utf8'),
  );
  const auth = new VaultAuth(http, values, requestTimeoutMs);
  const requester = new Requester(NAME, requestTimeoutMs, {
    ...deps,
    classify: (call, error, facts) => classifyVault(NAME, call, error, facts),
    placeText: (host) => (host === null ? '' : ` at ${host}`),
  });
  const ownership = new Ownership(settings);
  const store = new VaultStore({
    requests: new VaultRequests({ http, auth, requester, ownership }, mount),
    ownership,
    mount,
    checkId: settings.checkId ?? DEFAULT_CHECK_ID,
    close: () => {
      http.close();
    },
  });
  const location = { mount, ...(namespace === null ? {} : { namespace }) };
  return { store, location, limits: VAULT_LIMITS };
}

function requireFitting(tags: readonly Tag[]): void {
  const isTooLong = ({ key, value }: Tag): boolean =>
    Buffer.byteLength(key) > MAX_KEY_BYTES || Buffer.byteLength(value) > MAX_VALUE_BYTES || value === '';
  const index = tags.findIndex(isTooLong);
  if (index < 0 && tags.length <= MAX_TAGS) return;
  const what =
    index < 0
      ? `at most ${MAX_TAGS} tags`
      : `in tag ${index + 1} a key of at most ${MAX_KEY_BYTES} and a value of 1 to ${MAX_VALUE_BYTES} bytes`;
  throw new ConfigurationError('CONFIG_INVALID', `SECRET_MANAGER_TAGS: Vault takes ${what}`);
}
