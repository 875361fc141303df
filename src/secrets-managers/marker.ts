import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigurationError, WorkerError } from '../errors.js';
import { SecretValue } from '../secret-value.js';
import { asReference, type SecretStore, type StoreCall, type StoreError, type StoreResult } from './port.js';

/** Where an installation runs. What is null is not known, which is no difference. */
export interface Place {
  /** A digest of the database's address. */
  readonly database: string;
  /** The id that the Kafka cluster gave itself. */
  readonly kafkaCluster: string | null;
}

/** What a store remembers of who works on it. No secret. */
export interface StoreMarker extends Place {
  readonly installation: string;
}

const FORMAT = 1;
/** It is tagged as a connection's secret is; no connection is called so. */
export const MARKER_OWNER = 'connection-secrets-worker';
const DEADLINE_MS = 10_000;
const RETRY_DELAYS_MS = [200, 800];

/**
 * The marker of a store; null where there is none.
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS; STORE_OF_ANOTHER_INSTALLATION where it is not understood
 */
export async function readMarker(store: SecretStore, id: string): Promise<StoreMarker | null> {
  const [result] = await asked((call) => store.get([{ reference: asReference(id) }], call));
  if (result?.ok === true) return parseMarker(id, result.value.value);
  if (result?.error.class === 'not-found') return null;
  throw failed(id, 'read', result?.error);
}

/**
 * Writes it; false where `createOnly` is asked for and somebody else was faster.
 * @throws WorkerError STORE_UNAVAILABLE, STORE_ACCESS; STORE_OF_ANOTHER_INSTALLATION: a secret that is not ours is there
 */
export async function writeMarker(
  store: SecretStore,
  id: string,
  marker: StoreMarker,
  { createOnly }: { readonly createOnly: boolean },
): Promise<boolean> {
  const text = JSON.stringify({ format: FORMAT, ...marker, writtenAt: new Date().toISOString() });
  const item = {
    secretId: id,
    value: new SecretValue(text),
    connectionId: MARKER_OWNER,
    known: false,
    requestKey: randomUUID(),
    adopt: false,
    createOnly,
  };
  const [result] = await asked((call) => store.put([item], call));
  if (result?.ok === true) return true;
  const taken = result?.error.code === 'SECRET_NOT_OWNED';
  if (taken && createOnly) return false;
  if (taken)
    throw new ConfigurationError(
      'STORE_OF_ANOTHER_INSTALLATION',
      `the secret ${id} is not this installation’s`,
    );
  throw failed(id, 'written', result?.error);
}

/** A store that does not answer is asked again, with the same token: one late answer ends no command. */
async function asked<T>(ask: (call: StoreCall) => Promise<StoreResult<T>[]>): Promise<StoreResult<T>[]> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const call = { signal, admitWrite: () => Promise.resolve() };
  for (const delayMs of RETRY_DELAYS_MS) {
    const results = await ask(call);
    const isPassing = results.some((result) => !result.ok && result.error.class === 'transient');
    if (!isPassing || signal.aborted) return results;
    await sleep(delayMs);
  }
  return ask(call);
}

function failed(id: string, what: 'read' | 'written', error: StoreError | undefined): WorkerError {
  const text = `${id}, where the store remembers who works on it, cannot be ${what}`;
  if (error === undefined) return new WorkerError('STORE_UNAVAILABLE', `${text}: no answer`);
  const isAccess = error.code === 'STORE_ACCESS';
  return new WorkerError(isAccess ? 'STORE_ACCESS' : 'STORE_UNAVAILABLE', `${text}: ${error.message}`);
}

function parseMarker(id: string, value: SecretValue): StoreMarker {
  const parsed = parsedOf(value.reveal());
  const { format, installation, database, kafkaCluster } = parsed;
  const isKnown =
    format === FORMAT &&
    typeof installation === 'string' &&
    typeof database === 'string' &&
    (typeof kafkaCluster === 'string' || kafkaCluster === null);
  if (isKnown) return { installation, database, kafkaCluster };
  throw new ConfigurationError(
    'STORE_OF_ANOTHER_INSTALLATION',
    `${id}, where the store remembers who works on it, holds something that this version does not understand`,
  );
}

function parsedOf(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
