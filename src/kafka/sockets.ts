import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

const KEEP_ALIVE_MS = 60_000;

/**
 * The sockets of one kafkajs client. kafkajs cannot cancel a request, and its `disconnect` may wait forever: only closed
 * sockets make sure that nothing more is sent.
 */
interface Sockets {
  readonly factory: ISocketFactory;
  /** Destroys all sockets, and every socket that kafkajs opens later. */
  close(): void;
}

// kafkajs passes no `ssl` if none is configured, although its types say that it does.
function connect(
  host: string,
  port: number,
  ssl: tls.ConnectionOptions | undefined,
  onConnect: () => void,
): net.Socket {
  if (!ssl) return net.connect({ host, port }, onConnect);
  const name = net.isIP(host) === 0 ? { servername: host } : {};
  return tls.connect({ host, port, ...name, ...ssl }, onConnect);
}

export function createSockets(): Sockets {
  const open = new Set<net.Socket>();
  let closed = false;
  const factory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (closed) {
      const refused = new net.Socket();
      // kafkajs adds its listeners after this function returns: the error must come later.
      setImmediate(() => refused.destroy(new Error('client is closed')));
      return refused;
    }
    const socket = connect(host, port, ssl, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  };
  const close = (): void => {
    closed = true;
    for (const socket of open) socket.destroy();
  };
  return { factory, close };
}
