import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The temporary folder of one run and the processes it started: all gone at its end, whatever that is. */
export class Workspace {
  root;
  #keep;
  #dir = null;
  #children = new Set();
  #disposals = [];
  #closed = null;

  constructor(root, keep) {
    this.root = root;
    this.#keep = keep;
  }

  get isKept() {
    return this.#keep;
  }

  get hasDir() {
    return this.#dir !== null;
  }

  get dir() {
    this.#dir ??= mkdtempSync(join(tmpdir(), 'connection-secrets-demo-'));
    return this.#dir;
  }

  /** Ends the child with the run, if it has not ended by itself. */
  adopt(child) {
    const ended = new Promise((resolve) => {
      child.once('close', resolve);
      child.once('error', resolve);
    });
    const entry = { child, ended };
    this.#children.add(entry);
    void ended.then(() => this.#children.delete(entry));
    return child;
  }

  /** Last in, first out, before the processes are ended. */
  onClose(dispose) {
    this.#disposals.push(dispose);
  }

  close() {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close() {
    for (const dispose of this.#disposals.reverse()) await dispose().catch(() => undefined);
    const running = [...this.#children];
    for (const { child } of running) child.kill('SIGTERM');
    const deadline = setTimeout(() => running.forEach(({ child }) => child.kill('SIGKILL')), 20_000);
    await Promise.all(running.map(({ ended }) => ended));
    clearTimeout(deadline);
    if (this.#dir !== null && !this.#keep) rmSync(this.#dir, { recursive: true, force: true });
  }
}
