import { existsSync } from 'node:fs';
import { settingsOf, type ValuesOf } from '../../setting/setting.js';
import { text } from '../../setting/forms.js';
import { Ownership } from '../ownership.js';
import { NO_PERMISSIONS, provider } from '../provider.js';
import type { ManagerSettings } from '../settings.js';

const setting = settingsOf('Local vault');
const SETTINGS = {
  LOCAL_VAULT_FILE: setting(text, {
    meaning:
      'File of the `local` manager. Unset: beside the SQLite database (its name with the ending `.vault`), else ' +
      '`./connection-secrets.vault`.',
    example: '/var/lib/connection-secrets/demo.vault',
  }),
};
type Settings = Pick<ManagerSettings<ValuesOf<typeof SETTINGS>>, 'values' | 'databaseFile'>;

/** Waiting for the vault holds the whole thread. */
const BUSY_TIMEOUT_MS = 1_000;

/** A file on this machine: development and demos. */
export const local = provider({
  name: 'local',
  title: 'the vault file',
  managers: { local: 'store' },
  aliases: {},
  idStyle: 'slash',
  capabilities: {
    history: true,
    compareAndSet: false,
    softDelete: false,
    atomicCreate: true,
    requestKeys: true,
    readsARequest: 1_000,
    tellsOwnersInLists: true,
  },
  writesPerSecond: 20,
  isLasting: true,
  settings: SETTINGS,
  location: {},
  permissions: NO_PERMISSIONS,
  packages: ['better-sqlite3'],
  missing: (settings) => {
    const file = vaultFileOf(settings);
    return existsSync(file) ? null : `the vault ${file} does not exist`;
  },
  open: async (settings, deps) => {
    const { openLocalStore, LOCAL_LIMITS } = await import('./store.js');
    const busyTimeoutMs = Math.min(settings.requestTimeoutMs, BUSY_TIMEOUT_MS);
    const ownership = new Ownership(settings);
    return {
      limits: LOCAL_LIMITS,
      location: {},
      store: openLocalStore(vaultFileOf(settings), deps.keys, busyTimeoutMs, ownership),
    };
  },
});

/** The database's own name with another ending, so that two databases in one folder have two vaults. */
export function vaultFileOf({ values, databaseFile }: Settings): string {
  if (values.LOCAL_VAULT_FILE !== null) return values.LOCAL_VAULT_FILE;
  if (databaseFile === null || databaseFile === ':memory:') return './connection-secrets.vault';
  const vault = databaseFile.replace(/\.(sqlite3?|db3?)$/i, '') + '.vault';
  return vault === databaseFile ? `${vault}.vault` : vault;
}
