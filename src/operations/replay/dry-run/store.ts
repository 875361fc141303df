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

/** Keeps nothing, asks no store, and says yes: what the real store would refuse, only the real store knows. */
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

  /** Values are not read either: a copy is of something. */
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

/** The same manager, its rules and limits, without its store. */
export async function withoutStore(manager: SecretsManager): Promise<SecretsManager> {
  await manager.store.close();
  return { ...manager, store: new UnaskedStore() };
}
