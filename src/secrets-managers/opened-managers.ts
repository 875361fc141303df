import type { ManagerName } from '../terms.js';
import type { SecretsManager } from './port.js';

/** Secrets managers under one configuration, each opened when it is first asked for and kept open. */
export class OpenedManagers {
  readonly #open: (name: ManagerName) => Promise<SecretsManager>;
  readonly #managers = new Map<ManagerName, Promise<SecretsManager>>();

  constructor(open: (name: ManagerName) => Promise<SecretsManager>) {
    this.#open = open;
  }

  /** Rejects with what opening it rejects with; asked again, it is tried again. */
  of(name: ManagerName): Promise<SecretsManager> {
    const known = this.#managers.get(name);
    if (known !== undefined) return known;
    const opening = this.#open(name);
    this.#managers.set(name, opening);
    opening.catch(() => this.#managers.delete(name));
    return opening;
  }

  async close(): Promise<void> {
    for (const opening of this.#managers.values()) await (await opening).store.close();
  }
}
