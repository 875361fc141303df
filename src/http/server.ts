import { fastify, type FastifyReply } from 'fastify';
import { ConfigurationError } from '../errors.js';

/** What `/readyz` says about one part. */
export interface PartReport {
  readonly part: string;
  readonly state: 'up' | 'down' | 'starting';
  /** When it came into this state; ISO 8601. */
  readonly since: string;
  /** The error code if it is down. */
  readonly code: string | null;
}

export interface ReadinessReport {
  readonly ready: boolean;
  /** `starting`, `running` or `stopping`. */
  readonly phase: string;
  readonly parts: readonly PartReport[];
  /** Problems of the last day that an operator has to look at. They do not make the worker unready. */
  readonly warnings: readonly ReadinessWarning[];
}

/** Source records that the group has missed; `to` is exclusive. */
export interface ReadinessWarning {
  readonly code: 'RECORDS_MISSED';
  readonly topic: string;
  readonly partition: number;
  readonly reason: string;
  readonly from: number;
  readonly to: number;
}

export interface HttpParts {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Returns at once: the last results of the background checks. */
  readiness(): ReadinessReport;
  /** The metrics in the text format of Prometheus. */
  metrics(): Promise<string>;
}

export interface HttpServer {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  close(): Promise<void>;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Serves `/healthz` (the process is alive), `/readyz` (200 or 503, with the state of every part) and `/metrics`, and nothing
 * else. It reads no bodies and writes no log.
 * @throws ConfigurationError CONFIG_INVALID if it cannot listen on the address
 */
export async function openHttpServer(parts: HttpParts): Promise<HttpServer> {
  const server = fastify({
    logger: false,
    forceCloseConnections: true,
    bodyLimit: 1_024,
    connectionTimeout: 10_000,
    requestTimeout: 10_000,
    // fastify's own response repeats the path.
    frameworkErrors: (_error, _request, reply: FastifyReply) => {
      void reply.code(400).send({ error: 'bad request' });
    },
  });
  server.get('/healthz', () => ({ status: 'alive' }));
  server.get('/readyz', (_request, reply) => {
    const report = parts.readiness();
    return reply
      .code(report.ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send(report);
  });
  server.get('/metrics', async (_request, reply) => reply.type(METRICS_TYPE).send(await parts.metrics()));
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not found' }));
  // fastify's own response has the error's text.
  server.setErrorHandler((_error, _request, reply) => reply.code(500).send({ error: 'internal error' }));
  try {
    const url = await server.listen({ host: parts.host, port: parts.port });
    return { url, close: () => server.close() };
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `HTTP_HOST, HTTP_PORT: cannot listen on ${parts.host}, port ${parts.port} (${reason}); choose another address, or set HTTP_PORT=off`,
    );
  }
}
