import { setMaxListeners } from 'node:events';

/**
 * Calls back when the signal is aborted; returns what takes that back.
 *
 * One signal serves all lanes of a process, so many listen at the same time: that is no leak, and Node's warning of one
 * at eleven listeners is turned off for it.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
  };
}
