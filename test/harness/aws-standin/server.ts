import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { send } from './answer.js';
import { control } from './control.js';
import { FaultScript, type Fault, type Hit, type RequestFacts } from './faults.js';
import { AwsError, Input, type SeededSecret, type Service, type StoredSecret } from './protocol.js';
import { StandinSecretsManager } from './secrets-manager.js';
import { StandinSsm } from './ssm.js';

export interface LoggedCall extends RequestFacts {
  readonly atMs: number;
  readonly write: boolean;
  /** `ok`, the name of the error, or the kind of the fault that prevented an answer. */
  outcome: string;
  /** Whether the operation was carried out. */
  applied: boolean;
  /** The number of the fault that hit it; null if none did. */
  faultId: number | null;
}

export interface StandinSettings {
  /** The pause before each operation. */
  latencyMs?: number;
  /** More writes in one second are throttled. 0 or missing: no limit. */
  writesPerSecond?: number;
  maxSecrets?: number;
  maxParameters?: number;
}

export interface AwsStandin {
  readonly url: string;
  readonly port: number;
  /** Without the calls for the marker, which {@link secrets} leaves out, too. */
  readonly calls: readonly LoggedCall[];
  /** Arms a fault. Returns its number, by which {@link clearFaults} removes it. */
  fault(fault: Fault): number;
  clearFaults(id?: number): void;
  /** Whether this fault may still hit a request: it is neither used up nor removed. */
  isArmed(id: number): boolean;
  clearCalls(): void;
  configure(settings: StandinSettings): void;
  /** Without the marker, which says which installation works on the store. */
  secrets(): StoredSecret[];
  seed(service: 'secretsmanager' | 'ssm', secret: SeededSecret): void;
  /** Forgets secrets, faults, calls and settings. */
  reset(): void;
  close(): Promise<void>;
}

const SERVICES = ['secretsmanager', 'ssm'] as const;

/** A server that speaks both AWS JSON protocols. Tests control it by requests below `/standin/` (control.ts). */
export class Standin implements AwsStandin {
  readonly secretsManager = new StandinSecretsManager();
  readonly ssm = new StandinSsm();
  readonly faults = new FaultScript();
  readonly calls: LoggedCall[] = [];
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response);
  });
  #settings: StandinSettings = {};
  #writesMs: number[] = [];

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
  }

  fault(fault: Fault): number {
    return this.faults.arm(fault);
  }

  clearFaults(id?: number): void {
    this.faults.disarm(id);
  }

  isArmed(id: number): boolean {
    return this.faults.isArmed(id);
  }

  clearCalls(): void {
    this.calls.length = 0;
  }

  configure(settings: StandinSettings): void {
    this.#settings = { ...this.#settings, ...settings };
    this.secretsManager.maxSecrets = this.#settings.maxSecrets ?? 500_000;
    this.ssm.maxParameters = this.#settings.maxParameters ?? 10_000;
  }

  secrets(): StoredSecret[] {
    return SERVICES.flatMap((name) => this.#service(name).dump()).filter(
      ({ secretId }) => !isMarker(secretId),
    );
  }

  seed(service: 'secretsmanager' | 'ssm', secret: SeededSecret): void {
    this.#service(service).seed(secret);
  }

  reset(): void {
    for (const name of SERVICES) this.#service(name).clear();
    this.#settings = {};
    this.configure({});
    this.clearFaults();
    this.clearCalls();
    this.#writesMs = [];
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }

  #service(name: 'secretsmanager' | 'ssm'): Service {
    return name === 'ssm' ? this.ssm : this.secretsManager;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    if (body === null) return;
    if (request.url?.startsWith('/standin/') === true) {
      control(this, request, body, response);
      return;
    }
    const target = String(request.headers['x-amz-target'] ?? '');
    const name = SERVICES.find((service) => target.startsWith(this.#service(service).targetPrefix));
    if (name === undefined) {
      answerError(response, new AwsError('UnknownOperationException', 'no such target'));
      return;
    }
    await this.#operate(
      { service: name, operation: target.slice(target.indexOf('.') + 1), accessKeyId: signerOf(request) },
      body,
      response,
    );
  }

  async #operate(asked: Omit<RequestFacts, 'ids'>, body: string, response: ServerResponse): Promise<void> {
    const { operation } = asked;
    const service = this.#service(asked.service);
    const input = new Input(JSON.parse(body));
    const write = service.isWrite(operation);
    const facts = { ...asked, ids: service.idsOf(input) };
    const hit = this.faults.next(facts);
    const logged: LoggedCall = {
      ...{ ...facts, atMs: Date.now(), write },
      ...{ outcome: 'pending', applied: false, faultId: hit?.id ?? null },
    };
    if (!facts.ids.some(isMarker)) this.calls.push(logged);
    const run = (): unknown => {
      if (write) this.#countWrite();
      const result = service.run(operation, input, (id) => this.faults.denies(facts, id));
      logged.applied = true;
      return result;
    };
    await delay(this.#settings.latencyMs ?? 0);
    try {
      await this.#answer(hit, run, logged, response);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      if (hit?.fault.kind.endsWith('-after') === true && !logged.applied) {
        this.faults.giveBack(hit);
        logged.faultId = null;
      }
      logged.outcome = error.awsName;
      answerError(response, error);
    }
  }

  async #answer(
    hit: Hit | null,
    run: () => unknown,
    logged: LoggedCall,
    response: ServerResponse,
  ): Promise<void> {
    const fault = hit?.fault;
    const kind = fault?.kind;
    if (kind === 'error') {
      throw new AwsError(fault?.name ?? 'ThrottlingException', 'as scripted', fault?.status ?? 400);
    }
    if (kind === 'delay') await delay(fault?.delayMs ?? 0);
    const before = kind === 'drop' || kind === 'hang' || kind === 'server-error' || kind === 'empty';
    const result = before ? null : await late(run, kind === 'slow-answer' ? (fault?.delayMs ?? 0) : 0);
    logged.outcome = kind ?? 'ok';
    if (kind?.startsWith('server-error') === true) {
      throw new AwsError('InternalServiceError', 'as scripted', 500);
    }
    if (kind?.startsWith('hang') === true) return;
    if (kind?.startsWith('drop') === true) {
      response.socket?.destroy();
      return;
    }
    logged.outcome = 'ok';
    send(response, 200, kind?.startsWith('empty') === true ? {} : result);
  }

  #countWrite(): void {
    const limit = this.#settings.writesPerSecond ?? 0;
    if (limit === 0) return;
    const nowMs = Date.now();
    this.#writesMs = this.#writesMs.filter((atMs) => nowMs - atMs < 1_000);
    if (this.#writesMs.length >= limit) throw new AwsError('ThrottlingException', 'Rate exceeded');
    this.#writesMs.push(nowMs);
  }
}

function isMarker(secretId: string): boolean {
  return secretId.endsWith('/connection-secrets-worker/installation');
}

/** The key id in a signature of version 4. */
function signerOf(request: IncomingMessage): string | null {
  return /Credential=([^/]+)\//.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/** Null if the client went away during its request. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString('utf8');
  } catch {
    return null;
  }
}

/** Runs at once, but gives the result, or the error, later. */
async function late<T>(run: () => T, delayMs: number): Promise<T> {
  try {
    return run();
  } finally {
    await delay(delayMs);
  }
}

function delay(durationMs: number): Promise<void> {
  return durationMs <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, durationMs));
}

function answerError(response: ServerResponse, error: AwsError): void {
  send(response, error.status, { __type: error.awsName, message: error.message });
}

/** Starts a stand-in on a free port of the loopback interface, or on the given one. */
export async function startAwsStandin(port = 0): Promise<AwsStandin> {
  const standin = new Standin();
  await standin.listen(port);
  return standin;
}
