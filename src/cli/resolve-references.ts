import { missingStore, openSecretsManager } from '../worker/worker.js';
import type { Config } from '../config.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import { isSealed, tokenOf } from '../fernet/index.js';
import { SecretValue } from '../secret-value.js';
import type { SecretsManager } from '../secrets-managers/port.js';
import { DEFAULT_MANAGER } from '../secrets-managers/providers.js';
import { refuseWrite } from '../secrets-managers/check-store.js';
import { FERNET_PREFIX, SECRET_PREFIX, type Reference } from '../terms.js';

/** How much of a token is enough to find it again. */
const SHOWN_TOKEN = 24;

type Target =
  | { readonly kind: 'value'; readonly value: SecretValue }
  | { readonly kind: 'stored'; readonly reference: `secret:${string}` };

/**
 * The values of references, in their order.
 * @throws WorkerError naming the first reference that has none: USAGE_INVALID, TOKEN_NOT_OPENED, SECRET_NOT_FOUND,
 *   STORE_ACCESS, STORE_UNAVAILABLE
 */
export async function resolveReferences(
  references: readonly string[],
  config: Config<'keys'>,
): Promise<SecretValue[]> {
  const targets = references.map((reference, index) => targetOf(reference, index, config));
  const stored = targets.flatMap((target) => (target.kind === 'stored' ? [target.reference] : []));
  const values = stored.length === 0 ? [] : await readStored(stored, config);
  return targets.map((target) => (target.kind === 'value' ? target.value : (values.shift() as SecretValue)));
}

/** A text that is no reference is not repeated: it may be the value itself. */
function targetOf(given: string, index: number, { keys }: Config<'keys'>): Target {
  const stored = storedReference(given);
  if (stored !== null) return { kind: 'stored', reference: stored };
  if (!isSealed(given))
    throw new ConfigurationError(
      'USAGE_INVALID',
      `argument ${index + 1} begins neither with secret: nor with fernet:`,
    );
  const token = tokenOf(given);
  const ring = [keys.ingestion, keys.database].find((each) => each.opens(token));
  if (ring === undefined)
    throw new WorkerError(
      'TOKEN_NOT_OPENED',
      `${shorten(given)} is opened by no key of INGESTION_FERNET_KEY or FERNET_KEY`,
    );
  const text = ring.open(token);
  const inside = storedReference(text);
  return inside === null
    ? { kind: 'value', value: new SecretValue(text) }
    : { kind: 'stored', reference: inside };
}

function storedReference(text: string): `secret:${string}` | null {
  const id = /^secrets?:(.+)$/s.exec(text)?.[1];
  return id === undefined ? null : `${SECRET_PREFIX}${id}`;
}

function shorten(token: string): string {
  const shown = FERNET_PREFIX.length + SHOWN_TOKEN;
  return token.length > shown ? `${token.slice(0, shown)}…` : token;
}

async function readStored(references: readonly Reference[], config: Config<'keys'>): Promise<SecretValue[]> {
  const [first = ''] = references;
  const { name, requestTimeoutMs } = config.secretsManager;
  if (name === DEFAULT_MANAGER)
    throw new WorkerError(
      'SECRET_NOT_FOUND',
      `${first}: SECRET_MANAGER=${name} has no store that it could be in`,
    );
  const missing = missingStore(config);
  if (missing !== null) throw new WorkerError('SECRET_NOT_FOUND', `${first}: ${missing}`);
  const manager = await openSecretsManager(config, config.keys);
  try {
    return await readAll(manager, references, requestTimeoutMs);
  } finally {
    await manager.store.close();
  }
}

async function readAll(
  manager: SecretsManager,
  references: readonly Reference[],
  requestTimeoutMs: number,
): Promise<SecretValue[]> {
  const signal = AbortSignal.timeout(requestTimeoutMs * (2 + Math.ceil(references.length / 10)));
  const results = await manager.store.get(
    references.map((reference) => ({ reference })),
    { signal, admitWrite: refuseWrite },
  );
  return results.map((result, index) => {
    if (result.ok) return result.value.value;
    throw new WorkerError(result.error.code, `${references[index] ?? ''}: ${result.error.message}`);
  });
}
