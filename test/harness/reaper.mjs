// Ends what its parent started when the parent is gone, however it went (SIGKILL included): the parent's end closes
// our standard input. Speaks JSON lines: {"add"|"forget": {"group": pid} | {"dir": path} | {"command": [...]}}.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const kept = new Map();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const message = JSON.parse(line);
  if (message.add !== undefined) kept.set(JSON.stringify(message.add), message.add);
  if (message.forget !== undefined) kept.delete(JSON.stringify(message.forget));
});
lines.on('close', () => {
  const things = [...kept.values()];
  for (const { group } of things) if (group !== undefined) killGroup(group);
  for (const { command } of things) {
    if (command !== undefined) spawnSync(command[0], command.slice(1), { stdio: 'ignore' });
  }
  for (const { dir } of things) {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
});

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone already, which is what we want.
  }
}
