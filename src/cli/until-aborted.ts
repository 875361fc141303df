/** The same chunks until the signal is aborted: a terminal that says nothing must not keep a stop waiting. */
export async function* untilAborted<T>(chunks: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = chunks[Symbol.asyncIterator]();
  const aborted = new Promise<'aborted'>((resolve) => {
    if (signal.aborted) resolve('aborted');
    else signal.addEventListener('abort', () => resolve('aborted'), { once: true });
  });
  for (;;) {
    const next = iterator.next();
    next.catch(() => undefined);
    const result = await Promise.race([next, aborted]);
    // Not ended by `return`: that would wait for the chunk that does not come.
    if (result === 'aborted' || result.done === true) return;
    yield result.value;
  }
}
