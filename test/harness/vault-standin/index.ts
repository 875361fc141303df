import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultScript, type Fault } from '../aws-standin/faults.js';
import { KeyValueEngine, type EngineAnswer } from './engine.js';

export { KeyValueEngine } from './engine.js';

export const ROOT_TOKEN = 'hvs.root';

/** One request to the key-value engine, as the adapter names it. */
export interface VaultCall {
  readonly operation: string;
  readonly secretId: string;
}

interface Role {
  readonly credentials: Readonly<Record<string, string>>;
  readonly leaseSeconds: number;
  readonly renewable: boolean;
}

/** What a policy grants: capabilities by a path's beginning; the longest that matches counts. */
export type Policy = Readonly<Record<string, readonly string[]>>;

const DENIED: EngineAnswer = {
  status: 403,
  body: { errors: ['1 error occurred:\n\t* permission denied\n\n'] },
};

/** A server with one key-value engine, logins, tokens and policies, and faults on what the engine is asked. */
export class VaultStandin {
  readonly engine = new KeyValueEngine();
  readonly calls: VaultCall[] = [];
  /** Paths of logins, renewals and look-ups, in their order. */
  readonly logins: string[] = [];
  readonly roles = new Map<string, Role>();
  readonly #server: Server;
  readonly #mount: string;
  readonly #namespace: string | null;
  readonly #faults = new FaultScript();
  /** Null: everything. */
  readonly #tokens = new Map<string, Policy | null>([[ROOT_TOKEN, null]]);
  /** How many requests the engine has carried out, late ones included. */
  carriedOut = 0;
  isSealed = false;
  engineVersion = '2';

  private constructor(server: Server, { mount = 'secret', namespace = null }: VaultStandinOptions) {
    this.#server = server;
    this.#mount = mount;
    this.#namespace = namespace;
    server.on('request', (request, response) => {
      void this.#serve(request, response);
    });
  }

  static async start(options: VaultStandinOptions = {}): Promise<VaultStandin> {
    const server = createServer();
    const standin = new VaultStandin(server, options);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return standin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  fault(fault: Fault): void {
    this.#faults.arm(fault);
  }

  reset(): void {
    this.#faults.disarm();
    this.engine.secrets.clear();
    this.calls.length = 0;
    this.isSealed = false;
  }

  allow(token: string, policy: Policy | null): void {
    this.#tokens.set(token, policy);
  }

  revoke(token: string): void {
    this.#tokens.delete(token);
  }

  tokens(): string[] {
    return [...this.#tokens.keys()];
  }

  /** The current text of a secret; null: it is not there, or deleted. */
  valueOf(secretId: string): string | null {
    const secret = this.engine.secrets.get(secretId.replace(/^\//, ''));
    const version = secret?.versions.get(secret.current);
    if (version === undefined || version.destroyed || version.deletionTime !== '') return null;
    return String(version.data?.['value']);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const body: unknown = text === '' ? {} : JSON.parse(text);
    const url = new URL(request.url ?? '/', 'http://x');
    const path = decodeURIComponent(url.pathname).replace(/^\/v1\//, '');
    const header = (name: string): string | null => (request.headers[name] as string | undefined) ?? null;
    const isHere = header('x-vault-request') === 'true' && header('x-vault-namespace') === this.#namespace;
    const answer = (given: EngineAnswer): void => {
      reply(response, given);
    };
    if (this.isSealed) {
      answer({ status: 503, body: { errors: ['Vault is sealed'] } });
      return;
    }
    if (!isHere) {
      answer({ status: 404, body: { errors: [`no handler for route "${path}". route entry not found.`] } });
      return;
    }
    const token = header('x-vault-token') ?? '';
    if (path.startsWith('auth/')) {
      this.logins.push(path);
      answer(this.#auth(path, body, token));
      return;
    }
    const policy = this.#tokens.get(token);
    if (policy === undefined) answer(DENIED);
    else if (path === 'sys/capabilities-self') answer(this.#capabilities(body, policy));
    else if (path === `sys/internal/ui/mounts/${this.#mount}`)
      answer({ status: 200, body: { data: { type: 'kv', options: { version: this.engineVersion } } } });
    else if (path.startsWith(`${this.#mount}/`))
      await this.#engine(request, response, { path, url, body, policy });
    else
      answer({ status: 404, body: { errors: [`no handler for route "${path}". route entry not found.`] } });
  }

  async #engine(
    { method = '' }: IncomingMessage,
    response: ServerResponse,
    asked: { path: string; url: URL; body: unknown; policy: Policy | null },
  ): Promise<void> {
    const [part = '', ...segments] = asked.path.slice(this.#mount.length + 1).split('/');
    const path = segments.join('/');
    const isList = asked.url.searchParams.get('list') === 'true';
    const operation = `${method} ${isList ? 'list' : part}`;
    const facts = { service: 'vault', operation, ids: [`/${path}`], accessKeyId: null } as const;
    this.calls.push({ operation, secretId: `/${path}` });
    const needed = isList ? 'list' : this.#capabilityOf(method, part, path);
    const isDenied = !granted(asked.policy, asked.path).some((word) => word === needed || word === 'root');
    if (isDenied || this.#faults.denies(facts, `/${path}`)) {
      reply(response, DENIED);
      return;
    }
    const carryOut = (): EngineAnswer => {
      this.carriedOut += 1;
      return this.#carryOut({ ...asked, method, part, path, isList });
    };
    const hit = this.#faults.next(facts);
    const kind = hit?.fault.kind ?? null;
    const delayMs = hit?.fault.delayMs ?? 0;
    if (kind === null) reply(response, carryOut());
    else if (kind === 'error')
      reply(response, { status: hit?.fault.status ?? 400, body: { errors: [hit?.fault.name ?? ''] } });
    else {
      if (kind === 'delay') await sleep(delayMs);
      const done = /-after$|^delay$|^slow-answer$/.test(kind) ? carryOut() : null;
      if (kind.startsWith('drop')) response.destroy();
      else if (kind.startsWith('server-error'))
        reply(response, { status: 500, body: { errors: ['internal error'] } });
      else if (kind.startsWith('empty')) reply(response, { status: 200, body: {} });
      else if (done !== null && !kind.startsWith('hang')) {
        if (kind === 'slow-answer') await sleep(delayMs);
        reply(response, done);
      }
    }
  }

  #capabilityOf(method: string, part: string, path: string): string {
    if (method === 'GET') return 'read';
    if (method === 'DELETE') return 'delete';
    return this.engine.secrets.has(path) || part === 'undelete' ? 'update' : 'create';
  }

  #carryOut(asked: {
    method: string;
    part: string;
    path: string;
    url: URL;
    body: unknown;
    isList: boolean;
  }): EngineAnswer {
    const { method, part, path, url, body } = asked;
    if (asked.isList) return this.engine.list(path);
    const { versions = [] } = body as { versions?: number[] };
    switch (`${method} ${part}`) {
      case 'GET data':
        return this.engine.read(path, Number(url.searchParams.get('version') ?? 0));
      case 'POST data':
        return this.engine.write(path, body);
      case 'GET metadata':
        return this.engine.metadata(path);
      case 'POST metadata':
        return this.engine.writeMetadata(path, body);
      case 'DELETE metadata':
        return this.engine.remove(path);
      case 'POST undelete':
        return this.engine.mark(path, versions, (version) => (version.deletionTime = ''));
      default:
        return { status: 405, body: { errors: ['unsupported operation'] } };
    }
  }

  #capabilities(body: unknown, policy: Policy | null): EngineAnswer {
    const { paths } = body as { paths: string[] };
    const told = Object.fromEntries(paths.map((path) => [path, granted(policy, path)]));
    return { status: 200, body: { ...told, data: told } };
  }

  #auth(path: string, body: unknown, token: string): EngineAnswer {
    const role = this.roles.get(path);
    if (role !== undefined) {
      const isRight = JSON.stringify(body) === JSON.stringify(role.credentials);
      if (!isRight) return { status: 400, body: { errors: ['invalid role or secret ID'] } };
      const made = `hvs.${randomUUID()}`;
      this.#tokens.set(made, null);
      return { status: 200, body: { auth: authOf(made, role) } };
    }
    if (!this.#tokens.has(token)) return DENIED;
    if (path === 'auth/token/lookup-self') return { status: 200, body: { data: { id: token } } };
    const renewed = [...this.roles.values()].find(({ renewable }) => renewable);
    if (path !== 'auth/token/renew-self' || token === ROOT_TOKEN || renewed === undefined)
      return { status: 400, body: { errors: ['lease is not renewable'] } };
    return { status: 200, body: { auth: authOf(token, renewed) } };
  }
}

export interface VaultStandinOptions {
  readonly mount?: string;
  readonly namespace?: string | null;
}

function authOf(token: string, { leaseSeconds, renewable }: Role) {
  return { client_token: token, lease_duration: leaseSeconds, renewable, policies: ['default'] };
}

function granted(policy: Policy | null, path: string): readonly string[] {
  if (policy === null) return ['root'];
  const [best] = Object.keys(policy)
    .filter((beginning) => path.startsWith(beginning))
    .sort((left, right) => right.length - left.length);
  return best === undefined ? ['deny'] : (policy[best] ?? ['deny']);
}

function reply(response: ServerResponse, { status, body }: EngineAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
