import { Worker } from 'node:worker_threads';

/** A case that takes longer hangs, milliseconds. */
const HANGS_MS = 60_000;

/**
 * Ends this process where a case never comes back: the test runner could not, for it runs on the same thread. Says which.
 */
export function startWatchdog(what: string): { at(number: number): void; stop(): void } {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(WATCH, { eval: true, workerData: { progress, what, hangsMs: HANGS_MS } });
  worker.unref();
  return {
    at: (number) => {
      Atomics.store(progress, 0, number);
    },
    stop: () => void worker.terminate(),
  };
}

const WATCH = `
  const { workerData: { progress, what, hangsMs } } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  let last = -1;
  setInterval(() => {
    const now = Atomics.load(progress, 0);
    if (now === last) {
      writeSync(2, 'hangs: case ' + now + ' of ' + what + '\\n');
      process.kill(process.pid, 'SIGKILL');
    }
    last = now;
  }, hangsMs);
`;
