/** A call took longer than it was given. */
export class BrokerTimeout extends Error {
  override readonly name = 'BrokerTimeout';
}

/**
 * Settles as `work` does, or rejects with {@link BrokerTimeout} after `ms` milliseconds. The work itself is not
 * stopped: `onTimeout` is where the caller takes away what it works with. Its later rejection is swallowed.
 */
export async function withDeadline<T>(work: Promise<T>, ms: number, onTimeout?: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new BrokerTimeout(`no answer within ${ms} ms`));
      onTimeout?.();
    }, ms);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
