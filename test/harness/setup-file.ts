import { registerEndOfFile } from './cleanup.js';

registerEndOfFile();

// A worker whose runner was killed would go on to the end of its tests, with all they have started. SIGKILL, because
// Vitest forbids `exit` in a worker; the reaper does the rest.
if (process.listenerCount('disconnect') === 0) {
  process.once('disconnect', () => {
    process.kill(process.pid, 'SIGKILL');
  });
}
