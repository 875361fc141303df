import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { attemptOf, NotSentError } from '../requester.js';

export interface VaultRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Below `/v1/`; every part of it percent-encoded. */
  readonly path: string;
  readonly body?: unknown;
  /** Null: a login. */
  readonly token: string | null;
}

export interface VaultAnswer {
  readonly status: number;
  /** Undefined where there is none, or it is no JSON. */
  readonly body: unknown;
}

/** More than any answer of the largest value. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Connections at most; requests beyond them wait. */
const MAX_SOCKETS = 128;

export class AnswerTooLargeError extends Error {
  override readonly name = 'AnswerTooLarge';
}

/** HTTP to one server. Follows no redirection: the token is for this address only. */
export class VaultHttp {
  readonly #address: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(address: string, namespace: string | null, authorities: string | null) {
    this.#address = new URL(address.replace(/\/+$/, '/').replace(/[^/]$/, '$&/'));
    this.#headers = {
      // Proofs that it is no browser that was led here: agents can demand it.
      'x-vault-request': 'true',
      ...(namespace === null ? {} : { 'x-vault-namespace': namespace }),
    };
    const options = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.#agent =
      this.#address.protocol === 'http:'
        ? new HttpAgent(options)
        : new HttpsAgent({ ...options, ...(authorities === null ? {} : { ca: authorities }) });
  }

  /** Nothing is sent after the deadline of the attempt that the signal is bound to. */
  send({ method, path, body, token }: VaultRequest, signal: AbortSignal): Promise<VaultAnswer> {
    const attempt = attemptOf(signal);
    if (attempt !== undefined) {
      attempt.host = this.#address.host;
      if (performance.now() >= attempt.deadlineMs) throw new NotSentError('its time was up');
      attempt.sent = true;
    }
    const text = body === undefined ? null : JSON.stringify(body);
    const headers = {
      ...this.#headers,
      ...(token === null ? {} : { 'x-vault-token': token }),
      ...(text === null
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
    };
    const send = this.#address.protocol === 'http:' ? httpRequest : httpsRequest;
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: this.#agent, signal };
      const request = send(new URL(`v1/${path}`, this.#address), options, (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES) response.destroy(new AnswerTooLargeError('the answer is too large'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString('utf8')) });
        });
      });
      request.on('error', reject);
      request.end(text ?? undefined);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
