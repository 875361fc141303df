import { fastify, type FastifyReply } from 'fastify';
import { ConfigurationError } from '../errors.js';

/** What `/readyz` says of one part. */
export interface PartReport {
  readonly part: string;
  readonly state: 'up' | 'down' | 'starting';
  /** ISO 8601: since when it is so. */
  readonly since: string;
  /** Why it is down. */
  readonly code: string | null;
}

export interface ReadinessReport {
  readonly ready: boolean;
  /** What the process is doing: `starting`, `running`, `stopping`. */
  readonly phase: string;
  readonly parts: readonly PartReport[];
  /** What happened in the last day that somebody has to look at; they leave the worker ready. */
  readonly warnings: readonly ReadinessWarning[];
}

/** Source records that were passed over, `to` not included. */
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
  /** 0: any free one. */
  readonly port: number;
  /** Answers at once, from what background checks found. */
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
 * `/healthz`: the process is alive. `/readyz`: 200 or 503 with every part's state. `/metrics`. Nothing else, no bodies
 * read, no logs of its own.
 * @throws ConfigurationError CONFIG_INVALID where the address cannot be listened on
 */
export async function openHttpServer(parts: HttpParts): Promise<HttpServer> {
  const server = fastify({
    logger: false,
    forceCloseConnections: true,
    bodyLimit: 1_024,
    connectionTimeout: 10_000,
    requestTimeout: 10_000,
    // fastify's own answer repeats the path.
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
  // fastify's own answer has the error's text.
  server.setErrorHandler((_error, _request, reply) => reply.code(500).send({ error: 'internal error' }));
  try {
    const url = await server.listen({ host: parts.host, port: parts.port });
    return { url, close: () => server.close() };
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `HTTP_HOST, HTTP_PORT: ${parts.host} port ${parts.port} cannot be listened on (${reason}); choose another one, or HTTP_PORT=off`,
    );
  }
}
