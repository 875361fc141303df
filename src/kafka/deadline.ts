import { withDeadline as within } from '../with-deadline.js';

/** A call took longer than its deadline. */
export class BrokerTimeout extends Error {
  override readonly name = 'BrokerTimeout';
}

/**
 * Settles as `work` does, or rejects with {@link BrokerTimeout} after `ms` milliseconds. The work itself goes on:
 * in `onTimeout` the caller can close the connection that it uses. A later rejection of it is ignored.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, onTimeout?: () => void): Promise<T> {
  const late = (): BrokerTimeout => {
    onTimeout?.();
    return new BrokerTimeout(`no answer within ${ms} ms`);
  };
  return within(() => work, ms, late);
}
