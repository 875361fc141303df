import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Of our own environment: nothing that could configure the program. */
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'SystemRoot', 'TEST_RUN_ID'];

/** The built `connection-secrets`, run as a user runs it. */
export class Program {
  #cli;
  #workspace;
  #env;
  #logs = '';

  constructor(workspace) {
    this.#cli = join(workspace.root, 'dist', 'src', 'cli', 'main.js');
    this.#workspace = workspace;
    this.#env = Object.fromEntries(
      INHERITED.filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]]),
    );
    if (!existsSync(this.#cli)) throw new Error('the program is not built: leave --no-install out');
  }

  /** Sets environment variables of all runs from here on. */
  configure(variables) {
    Object.assign(this.#env, variables);
  }

  /** All that any run has written to standard error, and `start` to standard output. */
  get logs() {
    return this.#logs;
  }

  /** Runs it to its end; fails where it ends otherwise than with `expectedCode`. Returns its standard output. */
  async run(args, { input = '', expectedCode = 0 } = {}) {
    const child = this.#spawn(args);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const code = await endOf(child);
    this.#logs += stderr;
    if (code !== expectedCode)
      throw new Error(
        `connection-secrets ${args[0]} ended with code ${code} instead of ${expectedCode}\n${stderr.trim()}`,
      );
    return stdout;
  }

  /** Starts it and leaves it running. `ended` resolves with its exit code. */
  start(args) {
    const child = this.#spawn(args);
    child.stdin.end();
    let ownLogs = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        ownLogs += text;
        this.#logs += text;
      });
    return { ended: endOf(child), stop: () => child.kill('SIGTERM'), logs: () => ownLogs };
  }

  #spawn(args) {
    return this.#workspace.adopt(
      spawn(process.execPath, [this.#cli, ...args], { cwd: this.#workspace.dir, env: this.#env }),
    );
  }
}

function endOf(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
}
