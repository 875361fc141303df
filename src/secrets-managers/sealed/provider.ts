import { NO_PERMISSIONS, NO_SETTINGS, provider } from '../provider.js';
import { SEALED_LIMITS } from './store.js';

/** No store: values are kept sealed in the database. */
export const db = provider({
  name: 'db',
  title: 'the database',
  managers: { db: 'database' },
  aliases: { noop: 'db', 'local-db': 'db' },
  idStyle: 'slash',
  capabilities: {
    history: false,
    compareAndSet: false,
    softDelete: false,
    atomicCreate: true,
    requestKeys: false,
    readsARequest: 1_000,
    tellsOwnersInLists: true,
  },
  writesPerSecond: 20,
  isLasting: true,
  settings: NO_SETTINGS,
  location: {},
  permissions: NO_PERMISSIONS,
  packages: [],
  open: () => Promise.resolve({ limits: SEALED_LIMITS, location: {}, store: null }),
});
