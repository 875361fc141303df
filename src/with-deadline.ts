/**
 * Settles as `work` does, or after `ms` milliseconds rejects with the error that `late` returns and aborts the signal of
 * `work`. A later rejection of `work` is ignored.
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  ms: number,
  late: () => Error,
): Promise<T> {
  const expired = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(late());
      expired.abort();
    }, ms);
  });
  const working = work(expired.signal);
  working.catch(() => undefined);
  try {
    return await Promise.race([working, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
