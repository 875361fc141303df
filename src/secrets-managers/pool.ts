import type { ManagerName } from '../terms.js';
import type { SecretsManager } from './port.js';

/** Every manager that is asked for, opened once, and closed together. */
export class ManagerPool {
  readonly #open: (name: ManagerName) => Promise<SecretsManager>;
  readonly #opened = new Map<ManagerName, Promise<SecretsManager>>();

  constructor(open: (name: ManagerName) => Promise<SecretsManager>) {
    this.#open = open;
  }

  /** @throws ConfigurationError where the settings do not do for it; asked again, it is tried again */
  of(name: ManagerName): Promise<SecretsManager> {
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const opening = this.#open(name);
    this.#opened.set(name, opening);
    opening.catch(() => this.#opened.delete(name));
    return opening;
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#opened.values());
    await Promise.all(
      opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value.store.close()] : [])),
    );
  }
}
