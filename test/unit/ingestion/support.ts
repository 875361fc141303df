import { failure, success, type StoreResult } from '../../../src/secrets-managers/port.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { SecretReader } from '../../../src/ingestion/index.js';
import type { SecuredEvent } from '../../../src/terms.js';

export const GENERATION = 1_790_000_000_000;

/** A secured event of a MySQL service with one password. */
export function securedEvent(changes: Partial<SecuredEvent> = {}): SecuredEvent {
  const connectionId = changes.connectionId ?? '11111111-0000-4000-8000-000000000001';
  const reference = 'secret:/openmetadata/database/mysql-test/password' as const;
  return {
    connectionId,
    entityType: 'databaseService',
    serviceType: 'Mysql',
    name: 'mysql-test',
    fullyQualifiedName: 'mysql-test',
    version: 0.1,
    revision: 1,
    operation: 'updated',
    generation: GENERATION,
    manager: 'managed-aws',
    store: { provider: 'test' },
    entity: { id: connectionId, name: 'mysql-test', connection: { config: { password: reference } } },
    secretFields: [{ path: '/connection/config/password', reference, owned: true }],
    source: { eventId: 'e', topic: 'connection.updated', partition: 0, offset: 1 },
    time: '2026-09-21T14:13:22.000Z',
    ...changes,
  };
}

/** A store of a test: says what it was asked, call by call, and answers what the test wants. */
export class FakeReader implements SecretReader {
  readonly calls: string[][] = [];
  readonly values = new Map<string, string>();
  /** In place of an answer. */
  failWith: ((reference: string) => StoreResult<never> | null) | null = null;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();

  async get(references: readonly string[]): Promise<StoreResult<SecretValue>[]> {
    this.calls.push([...references]);
    const results = references.map((reference) => this.#answer(reference));
    await this.gate;
    return results;
  }

  #answer(reference: string): StoreResult<SecretValue> {
    const failed = this.failWith?.(reference) ?? null;
    if (failed !== null) return failed;
    const value = this.values.get(reference);
    return value === undefined
      ? failure('not-found', `test: there is no secret ${reference}`)
      : success(new SecretValue(value));
  }
}
