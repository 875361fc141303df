import { openFieldFinder } from '../../src/worker/worker.js';
import { loadConfig } from '../../src/config.js';
import type { ConnectionRow, StoredSecretRow } from '../../src/database/rows.js';
import { createSecretIdBuilder } from '../../src/ids/index.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { Changes, LockedState } from '../../src/pipeline/ledger.js';
import { inMemory } from '../../src/secrets-managers/in-memory/provider.js';
import { InMemoryStore } from '../../src/secrets-managers/in-memory/store.js';
import { SSM_TEST_LIMITS } from './limits.js';
import { NOW_MS } from './samples.js';
import { testOwnership } from '../harness/ownership.js';

/** Of every context. */
export const FUZZ_KEYS = {
  FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=',
  DEAD_LETTER_FERNET_KEY: 'AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=',
  INGESTION_FERNET_KEY: 'ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=',
  PUBLISHER_FERNET_KEY: 'QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=',
};
const RECORD_BYTES = 1_000_000;

interface Variant {
  readonly manager: 'in-memory' | 'db';
  readonly format: 'structured' | 'binary';
  readonly references: 'plain' | 'sealed';
  readonly strict: boolean;
  readonly env: Readonly<Record<string, string>>;
}

const VARIANTS: readonly Variant[] = [
  { manager: 'in-memory', format: 'structured', references: 'plain', strict: false, env: {} },
  { manager: 'in-memory', format: 'binary', references: 'sealed', strict: true, env: {} },
  {
    manager: 'db',
    format: 'structured',
    references: 'plain',
    strict: false,
    env: { SECRET_BY_NAME: 'refuse' },
  },
  {
    manager: 'db',
    format: 'binary',
    references: 'sealed',
    strict: false,
    env: { UNKNOWN_CONNECTOR: 'refuse' },
  },
];

/** What the pipeline is configured as, in four ways; all rules and key rings are the real ones. */
export function fuzzContexts({
  publisherTokens = 'any',
}: Partial<Pick<PlanContext['rules'], 'publisherTokens'>> = {}): PlanContext[] {
  return VARIANTS.map(({ manager, format, references, strict, env }) => {
    const config = loadConfig({ ...FUZZ_KEYS, ...env }, { need: ['keys'] });
    return {
      manager: {
        name: manager,
        provider: manager,
        capabilities: inMemory.capabilities,
        location: {},
        keeps: manager === 'db' ? 'database' : 'store',
        idStyle: 'slash',
        limits: SSM_TEST_LIMITS,
        store: new InMemoryStore(testOwnership()),
      },
      ids: createSecretIdBuilder({
        idStyle: 'slash',
        strict,
        prefix: '',
        cluster: 'openmetadata',
        maxIdLength: SSM_TEST_LIMITS.maxIdLength,
      }),
      fields: openFieldFinder(config),
      rings: config.keys,
      fingerprintKey: Buffer.alloc(32, 7),
      generation: NOW_MS,
      rules: {
        adopt: false,
        grants: null,
        sourceValues: 'any',
        maskedSecretOnNewEndpoint: 'allow',
        secretQuoted: 'mask',
        allowedReferencePrefixes: [],
        publisherTokens,
        graceMs: 86_400_000,
        waitMs: 600_000,
        lateRequestMs: 60_000,
      },
      output: { references, format, maxRecordBytes: () => RECORD_BYTES },
    };
  });
}

/** A connection that nothing was applied to. */
export function newState(connectionId: string): LockedState {
  const connection: ConnectionRow = {
    id: connectionId,
    entityType: null,
    root: null,
    kind: null,
    serviceType: null,
    name: null,
    fullyQualifiedName: null,
    version: null,
    state: 'new',
    manager: null,
    revision: 0,
    operation: null,
    entity: null,
    appliedOrder: null,
    eventId: null,
    securedFrom: null,
    unpublishedSinceMs: null,
    claimOwner: null,
    claimEpoch: 1,
    claimExpiresAtMs: 0,
    createdAtMs: NOW_MS,
    updatedAtMs: NOW_MS,
  };
  return {
    nowMs: NOW_MS,
    nextEpoch: 2,
    connection,
    references: [],
    stored: [],
    foreign: [],
    referrers: [],
    namesakes: [],
    namedUnder: new Map(),
    inbox: null,
    reusedInbox: null,
    deadLetters: [],
    hasUnsent: false,
  };
}

/** The state after a commit, as the next event would find it. */
export function stateAfter(state: LockedState, changes: Changes): LockedState {
  const removed = new Set(changes.references?.removePathHashes ?? []);
  const set = changes.references?.set ?? [];
  const isReplaced = new Set(set.map(({ pathHash }) => pathHash));
  const { insert = [], update = [], revive = [] } = changes.stored ?? {};
  const rows: StoredSecretRow[] = [...insert, ...update, ...revive.map(({ row }) => row)];
  const changed = new Set(rows.map(({ secretId }) => secretId));
  return {
    ...state,
    connection: changes.connection ?? state.connection,
    references: [
      ...state.references.filter(({ pathHash }) => !removed.has(pathHash) && !isReplaced.has(pathHash)),
      ...set,
    ],
    stored: [...state.stored.filter(({ secretId }) => !changed.has(secretId)), ...rows],
  };
}
