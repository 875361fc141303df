import { Ownership } from '../ownership.js';
import { NO_PERMISSIONS, NO_SETTINGS, provider } from '../provider.js';
import { IN_MEMORY_LIMITS, InMemoryStore } from './store.js';

/** The memory of this process: tests. */
export const inMemory = provider({
  name: 'in-memory',
  title: 'the memory of the process',
  managers: { 'in-memory': 'store' },
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
  isLasting: false,
  settings: NO_SETTINGS,
  location: {},
  permissions: NO_PERMISSIONS,
  packages: [],
  open: (settings) =>
    Promise.resolve({
      limits: IN_MEMORY_LIMITS,
      location: {},
      store: new InMemoryStore(new Ownership(settings)),
    }),
});
