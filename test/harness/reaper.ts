import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** What must not outlive this process: a process group, a folder, or something that a command can remove. */
export type Kept = { readonly group: number } | { readonly dir: string } | { readonly command: string[] };

let reaper: (ChildProcess & { stdin: Writable }) | undefined;

/**
 * Ends or removes `thing` if this process ends without having called {@link forget}, even by SIGKILL. A helper process does
 * this. The first call starts it.
 */
export function keep(thing: Kept): void {
  write({ add: thing });
}

export function forget(thing: Kept): void {
  if (reaper !== undefined) write({ forget: thing });
}

function write(message: { add: Kept } | { forget: Kept }): void {
  reaper ??= start();
  reaper.stdin.write(`${JSON.stringify(message)}\n`);
}

function start(): ChildProcess & { stdin: Writable } {
  const script = fileURLToPath(new URL('./reaper.mjs', import.meta.url));
  // detached: a Ctrl-C in the terminal must not reach it, because its work begins then.
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.unref();
  const { stdin } = child;
  // A pipe keeps the event loop alive, too.
  if (stdin instanceof Socket) stdin.unref();
  stdin.on('error', () => {
    reaper = undefined;
  });
  return Object.assign(child, { stdin });
}
