import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { TestProject } from 'vitest/node';
import { startParts, type StartedParts } from './parts.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Port of 127.0.0.1 at which a test process asks for the parts. */
    partsPort: number;
  }
}

/** Every project of a run loads this file anew; the parts are started once for all of them. */
const SHARED = Symbol.for('connection-secrets-worker.test-parts');
interface Shared {
  readonly server: Server;
  /** Of the parts, from the first file on that needs them. */
  started: Promise<StartedParts> | undefined;
  users: number;
}
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared };

const report = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

/** Starts no part yet: who connects gets the states of all of them, as JSON, when they are up. */
export async function setup(project: TestProject): Promise<void> {
  const shared = (globals[SHARED] ??= { server: createServer(), started: undefined, users: 0 });
  shared.users += 1;
  const { server } = shared;
  if (shared.users === 1) {
    server.on('connection', (socket) => {
      // Who asked may end meanwhile.
      socket.on('error', () => undefined);
      shared.started ??= startParts(report);
      void shared.started.then(({ states }) => socket.end(JSON.stringify(states)));
    });
    server.listen(0, '127.0.0.1');
  }
  if (!server.listening) await once(server, 'listening');
  project.provide('partsPort', (server.address() as AddressInfo).port);
}

export async function teardown(): Promise<void> {
  const shared = globals[SHARED];
  if (shared === undefined) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  delete globals[SHARED];
  shared.server.close();
  await (await shared.started)?.stop();
}
