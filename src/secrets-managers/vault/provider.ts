import { provider } from '../provider.js';
import { either, NAME, SETTINGS } from './settings.js';

const NEEDED = {
  token: ['TOKEN'],
  approle: ['ROLE_ID', 'SECRET_ID'],
  kubernetes: ['KUBERNETES_ROLE'],
} as const;

/** HashiCorp Vault and OpenBao, KV version 2, by their HTTP API. */
export const vault = provider({
  name: NAME,
  title: 'HashiCorp Vault or OpenBao',
  managers: { 'managed-vault': 'store', vault: 'database' },
  aliases: { 'managed-openbao': 'managed-vault', openbao: 'vault' },
  idStyle: 'slash',
  capabilities: {
    history: true,
    compareAndSet: true,
    softDelete: false,
    atomicCreate: true,
    requestKeys: false,
    readsARequest: 1,
    tellsOwnersInLists: false,
  },
  // A server has no quota by default; this many is little for a small one.
  writesPerSecond: 100,
  isLasting: true,
  settings: SETTINGS,
  location: { mount: 'VAULT_MOUNT', namespace: 'VAULT_NAMESPACE' },
  permissions: {
    worker: [
      'data/<prefix>/*: create, read, update',
      'metadata/<prefix>/*: create, read, update, delete',
      'undelete/<prefix>/*: update',
    ],
    verify: ['metadata/<prefix>/*: list'],
    ingestion: ['data/<prefix>/*: read'],
  },
  packages: [],
  check: (values, { manager }) => {
    if (!['managed-vault', 'vault'].includes(manager)) return [];
    const method = either(values, 'AUTH_METHOD');
    const words = ['ADDR' as const, ...(method === undefined ? [] : NEEDED[method ?? 'token'])];
    return words.flatMap((word) =>
      either(values, word) === null
        ? [{ name: `VAULT_${word}`, message: `is needed for SECRET_MANAGER=${manager} (or BAO_${word})` }]
        : [],
    );
  },
  open: async (settings, deps) => (await import('./open.js')).openVaultStore(settings, deps),
});
