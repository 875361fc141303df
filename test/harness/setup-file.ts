import { registerEndOfFile } from './cleanup.js';

registerEndOfFile();

// If somebody kills the runner, its workers would run their tests to the end. So they kill themselves. By SIGKILL, because
// Vitest forbids `exit` in a worker. The reaper ends what the tests have started.
if (process.listenerCount('disconnect') === 0) {
  process.once('disconnect', () => {
    process.kill(process.pid, 'SIGKILL');
  });
}
