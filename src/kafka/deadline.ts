import { withDeadline as within } from '../with-deadline.js';

/** A call took longer than it was given. */
export class BrokerTimeout extends Error {
  override readonly name = 'BrokerTimeout';
}

/**
 * Settles as `work` does, or rejects with {@link BrokerTimeout} after `ms` milliseconds. The work itself is not
 * stopped: `onTimeout` is where the caller takes away what it works with. Its later rejection is swallowed.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, onTimeout?: () => void): Promise<T> {
  const late = (): BrokerTimeout => {
    onTimeout?.();
    return new BrokerTimeout(`no answer within ${ms} ms`);
  };
  return within(() => work, ms, late);
}
