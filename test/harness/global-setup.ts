import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { TestProject } from 'vitest/node';
import { startParts, type StartedParts } from './parts.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The port of 127.0.0.1 where a test process asks for the parts. */
    partsPort: number;
  }
}

/** Each project of a run loads this file anew, but they all share the parts. */
const SHARED = Symbol.for('connection-secrets-worker.test-parts');
interface Shared {
  readonly server: Server;
  /** Undefined until the first test file needs the parts. */
  started: Promise<StartedParts> | undefined;
  users: number;
}
const globals = globalThis as typeof globalThis & { [SHARED]?: Shared };

const report = (line: string): void => {
  process.stdout.write(`parts: ${line}\n`);
};

/** Starts a server, and no part yet. The first client has the parts started. Each client gets their states as JSON. */
export async function setup(project: TestProject): Promise<void> {
  const shared = (globals[SHARED] ??= { server: createServer(), started: undefined, users: 0 });
  shared.users += 1;
  const { server } = shared;
  if (shared.users === 1) {
    server.on('connection', (socket) => {
      // The client may end meanwhile.
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
