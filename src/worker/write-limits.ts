import { randomUUID } from 'node:crypto';
import type { Database } from '../database/database.js';
import { changeWriteShares } from '../database/write-shares.js';
import { SharedLimiter } from '../secrets-managers/shared-limiter.js';
import { WriteLimiter } from '../secrets-managers/write-limiter.js';
import type { ManagerName } from '../terms.js';

interface WriteLimitsOptions {
  readonly database: Database;
  /** The limit of each store, for all processes of this database together. */
  readonly writesPerSecond: number;
  /** Called when the database could not renew this process's share. */
  readonly onFailure?: (error: unknown) => void;
}

/** One limiter for each store. It does not use the database before the first write. */
export class WriteLimits {
  readonly #options: WriteLimitsOptions;
  readonly #process = randomUUID();
  readonly #limiters = new Map<ManagerName, WriteLimiter | SharedLimiter>();

  constructor(options: WriteLimitsOptions) {
    this.#options = options;
  }

  of(manager: ManagerName): WriteLimiter | SharedLimiter {
    const known = this.#limiters.get(manager);
    if (known !== undefined) return known;
    const made = this.#make(manager);
    this.#limiters.set(manager, made);
    return made;
  }

  /** Gives this process's shares back to the others. */
  async close(): Promise<void> {
    const shared = [...this.#limiters.values()].filter((one) => one instanceof SharedLimiter);
    await Promise.all(shared.map((one) => one.close()));
  }

  #make(manager: ManagerName): WriteLimiter | SharedLimiter {
    const { database, writesPerSecond, onFailure } = this.#options;
    // Only one process writes to a SQLite file.
    if (database.dialect === 'sqlite') return new WriteLimiter({ writesPerSecond });
    return new SharedLimiter({
      writesPerSecond,
      process: this.#process,
      changeShares: (change) => changeWriteShares(database, manager, change),
      onFailure: (error) => onFailure?.(error),
    });
  }
}
