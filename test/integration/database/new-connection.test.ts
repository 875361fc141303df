import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { createDatabase, describeWith, disposeLater } from '../../harness/index.js';
import { openDatabase } from './support.js';

/** What PostgreSQL sends to a session that it ends: message E with severity, SQLSTATE and text. */
function sessionEnd(): Buffer {
  const fields = Buffer.from('SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** ReadyForQuery, outside of a transaction. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/**
 * Between a client and PostgreSQL: while `ending` is set, a new session ends in the moment it is ready, and the client
 * gets both messages in one piece, as a process does that was stopped meanwhile.
 */
class EndingProxy {
  ending = false;
  ended = 0;
  readonly #server = createServer((client) => this.#serve(client));

  constructor(private readonly target: { host: string; port: number }) {}

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    disposeLater(() => void this.#server.close());
    return (this.#server.address() as AddressInfo).port;
  }

  #serve(client: Socket): void {
    const server = connect(this.target);
    let isNew = true;
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      const isReady = isNew && bytes.subarray(-READY.length).equals(READY);
      if (isReady) isNew = false;
      if (!isReady || !this.ending) {
        client.write(bytes);
        return;
      }
      this.ended += 1;
      client.end(Buffer.concat([bytes, sessionEnd()]));
    });
  }
}

describeWith(['postgres'], 'a new session of postgres that ends in the moment it is ready', () => {
  it('is an error of whoever wanted it, not of the process', async () => {
    const { url } = await createDatabase('postgres');
    const target = new URL(url);
    const proxy = new EndingProxy({ host: target.hostname, port: Number(target.port) });
    target.port = String(await proxy.listen());
    const database = await openDatabase(target.href);
    // Vitest fails a run in which an error went unhandled; here it is to be this test.
    const unhandled: unknown[] = [];
    const note = (error: unknown): number => unhandled.push(error);
    process.on('uncaughtException', note);
    disposeLater(() => void process.off('uncaughtException', note));

    proxy.ending = true;
    const pings = await Promise.allSettled(Array.from({ length: 4 }, () => database.ping()));
    expect(proxy.ended).toBeGreaterThan(0);
    const reasons = pings.flatMap((ping) => (ping.status === 'rejected' ? [ping.reason as unknown] : []));
    expect(reasons).not.toEqual([]);
    for (const reason of reasons) expect(reason).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(unhandled).toEqual([]);

    proxy.ending = false;
    await database.ping();
  });
});
