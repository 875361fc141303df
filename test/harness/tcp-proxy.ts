import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { disposeLater } from './cleanup.js';

/** A cut that a test has ordered and that has not come yet. */
interface Cut {
  /** The client must have sent this since its transaction began. */
  readonly after: RegExp;
  /** `before`: the server does not get the COMMIT. `after`: it carries it out, but the client does not get its answer. */
  readonly when: 'before' | 'after';
  readonly done: () => void;
}

/**
 * A TCP proxy in front of a database. It cuts a client's connection at the COMMIT of a certain transaction, so that the
 * client cannot know whether it succeeded.
 */
export class CommitProxy {
  readonly #server = createServer((client) => this.#serve(client));
  readonly #target: { host: string; port: number };
  #cut: Cut | null = null;

  constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resolves when the cut has been made. */
  cutCommit(after: RegExp, when: Cut['when']): Promise<void> {
    return new Promise((done) => {
      this.#cut = { after, when, done };
    });
  }

  close(): void {
    this.#server.close();
  }

  #serve(client: Socket): void {
    const server = connect(this.#target);
    let sent = '';
    let cutting = false;
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      sent += text;
      const isCommit = /\bCOMMIT\b/.test(text);
      const cut = isCommit && this.#cut?.after.test(sent) === true ? this.#cut : null;
      if (isCommit) sent = '';
      if (cut === null) {
        server.write(bytes);
        return;
      }
      this.#cut = null;
      cutting = true;
      if (cut.when === 'after') {
        server.once('data', () => {
          end();
          cut.done();
        });
        server.write(bytes);
      } else {
        end();
        cut.done();
      }
    });
    server.on('data', (bytes) => {
      if (!cutting) client.write(bytes);
    });
  }
}

/** Starts a {@link CommitProxy} in front of a database. `url` leads through it. It ends with the test or the file. */
export async function startCommitProxy(databaseUrl: string): Promise<{ proxy: CommitProxy; url: string }> {
  const url = new URL(databaseUrl);
  const proxy = new CommitProxy({ host: url.hostname, port: Number(url.port) });
  await proxy.listen();
  disposeLater(() => proxy.close());
  url.port = String(proxy.port);
  return { proxy, url: url.href };
}
