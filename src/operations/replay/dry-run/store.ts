import { SecretValue } from '../../../secret-value.js';
import {
  type Fetched,
  type SecretsManager,
  type SecretStore,
  type Stored,
  type StoreResult,
  failure,
  success,
} from '../../../secrets-managers/port.js';
import { SECRET_PREFIX } from '../../../terms.js';

/** The store of a dry run. It stores nothing and accepts everything: only the real store knows what it would refuse. */
export class UnaskedStore implements SecretStore {
  readonly owned = null;
  #version = 0;

  async put(items: Parameters<SecretStore['put']>[0]): Promise<StoreResult<Stored>[]> {
    return items.map(({ secretId, known }) => {
      this.#version += 1;
      return success({
        reference: `${SECRET_PREFIX}${secretId}`,
        version: `dry-run-${this.#version}`,
        effect: known ? 'changed' : 'created',
      });
    });
  }

  /** Gives a made-up value: to move a connection means to copy its values, which needs one. */
  async get(items: Parameters<SecretStore['get']>[0]): Promise<StoreResult<Fetched>[]> {
    return items.map(({ version = '' }) => success({ value: new SecretValue('not read'), version }));
  }

  async describe(): ReturnType<SecretStore['describe']> {
    return notAsked();
  }

  async delete(items: Parameters<SecretStore['delete']>[0]): ReturnType<SecretStore['delete']> {
    return items.map(notAsked);
  }

  async restore(): ReturnType<SecretStore['restore']> {
    return notAsked();
  }

  async check(): ReturnType<SecretStore['check']> {
    return success({ detail: 'a dry run does not ask the store' });
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

function notAsked() {
  return failure('transient', 'a dry run does not ask the store');
}

/** The same manager with its rules and limits, but with the store of a dry run. */
export async function withoutStore(manager: SecretsManager): Promise<SecretsManager> {
  await manager.store.close();
  return { ...manager, store: new UnaskedStore() };
}
