import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ConfigurationError } from '../../errors.js';
import type { SecretValue } from '../../secret-value.js';
import { VaultAnswerError } from './errors.js';
import type { VaultAnswer, VaultHttp, VaultRequest } from './http.js';
import { either, trimmed, type VaultValues } from './settings.js';

const JWT_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token';
/** A token is renewed when this part of its time is over. */
const RENEW_AFTER = 2 / 3;
/** After a renewal that failed, milliseconds until it is tried again; the token is good until then. */
const RENEW_AGAIN_MS = 60_000;
/** For how long the server's word counts that it knows our token. */
const KNOWN_FOR_MS = 2_000;

const LOGIN = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number(), renewable: z.boolean() }),
});
const RENEWED = z.object({ auth: z.object({ lease_duration: z.number(), renewable: z.boolean() }) });

interface Login {
  readonly path: string;
  readonly body: () => Promise<Record<string, string>>;
}

interface Held {
  readonly token: string;
  /** By the monotonic clock: when it is to be renewed; null: never. */
  renewAtMs: number | null;
  /** A renewal that gives less than this is near the end of all: then log in anew. */
  readonly fullLeaseMs: number;
  knownAtMs: number;
}

/** The token that requests carry: given, or from a login, renewed in time. Requests that need one at the same time share it. */
export class VaultAuth {
  readonly #http: VaultHttp;
  readonly #timeoutMs: number;
  readonly #fixed: SecretValue | null;
  readonly #login: Login | null;
  #held: Held | null = null;
  #getting: Promise<Held> | null = null;

  /** @throws ConfigurationError CONFIG_INVALID where something that the method needs is not set */
  constructor(http: VaultHttp, values: VaultValues, timeoutMs: number) {
    this.#http = http;
    this.#timeoutMs = timeoutMs;
    const method = either(values, 'AUTH_METHOD') ?? 'token';
    const mount = trimmed(either(values, 'AUTH_MOUNT') ?? method);
    this.#fixed = method === 'token' ? required(values, 'TOKEN') : null;
    this.#login = loginOf(method, `auth/${mount}/login`, values);
  }

  /** @throws VaultAnswerError what the server says of the login */
  async token(): Promise<string> {
    const held = this.#held;
    const isDue = held?.renewAtMs != null && performance.now() >= held.renewAtMs;
    if (held !== null && !isDue) return held.token;
    this.#getting ??= this.#get(held).finally(() => {
      this.#getting = null;
    });
    return (await this.#getting).token;
  }

  /** Whether the server knows the token that it has denied something; it may have expired, or been revoked. */
  async isKnown(token: string): Promise<boolean> {
    const held = this.#held;
    if (held?.token !== token) return true;
    if (performance.now() - held.knownAtMs < KNOWN_FOR_MS) return true;
    const { status } = await this.#send({ method: 'GET', path: 'auth/token/lookup-self', token });
    if (status === 200) held.knownAtMs = performance.now();
    // The next request logs in anew.
    else if (status === 403 && this.#held === held) this.#held = null;
    return status !== 403;
  }

  /** Shared by all that wait for a token, so no caller's signal ends it. */
  #send(request: VaultRequest): Promise<VaultAnswer> {
    return this.#http.send(request, AbortSignal.timeout(this.#timeoutMs));
  }

  async #get(held: Held | null): Promise<Held> {
    const got = held === null ? await this.#loggedIn() : await this.#renewed(held);
    this.#held = got;
    return got;
  }

  async #loggedIn(): Promise<Held> {
    if (this.#login === null) {
      const token = this.#fixed?.reveal() ?? '';
      return this.#renewed({ token, renewAtMs: null, fullLeaseMs: 0, knownAtMs: -Infinity });
    }
    const { path, body } = this.#login;
    const answer = await this.#send({ method: 'POST', path, body: await body(), token: null });
    const parsed = LOGIN.safeParse(answer.body);
    if (answer.status !== 200 || !parsed.success) throw loginRefused(path, answer);
    const { client_token: token, lease_duration: seconds } = parsed.data.auth;
    const nowMs = performance.now();
    return {
      token,
      renewAtMs: seconds > 0 ? nowMs + seconds * 1_000 * RENEW_AFTER : null,
      fullLeaseMs: seconds * 1_000,
      knownAtMs: nowMs,
    };
  }

  /** The same token for longer; a new one where it comes to its end; as it is, where it cannot be renewed. */
  async #renewed(held: Held): Promise<Held> {
    const { token } = held;
    const request = { method: 'POST', path: 'auth/token/renew-self', body: {}, token } as const;
    const answer = await this.#send(request).catch(() => ({ status: 0, body: undefined }));
    const nowMs = performance.now();
    const parsed = RENEWED.safeParse(answer.body);
    if (answer.status === 200 && parsed.success) {
      const leaseMs = parsed.data.auth.lease_duration * 1_000;
      const isNearEnd = leaseMs < held.fullLeaseMs / 2;
      if (!isNearEnd || this.#login === null) {
        const renewAtMs = parsed.data.auth.renewable && leaseMs > 0 ? nowMs + leaseMs * RENEW_AFTER : null;
        return { token, renewAtMs, fullLeaseMs: Math.max(held.fullLeaseMs, leaseMs), knownAtMs: nowMs };
      }
    }
    if (this.#login !== null) return this.#loggedIn();
    // A root token, one that is not renewable, or a policy without this: used as it is.
    const isFinal = answer.status >= 400 && answer.status < 500 && answer.status !== 429;
    return { ...held, renewAtMs: isFinal ? null : nowMs + RENEW_AGAIN_MS };
  }
}

function loginOf(
  method: 'token' | 'approle' | 'kubernetes',
  path: string,
  values: VaultValues,
): Login | null {
  switch (method) {
    case 'token':
      return null;
    case 'approle': {
      const [roleId, secretId] = [required(values, 'ROLE_ID'), required(values, 'SECRET_ID')];
      return { path, body: () => Promise.resolve({ role_id: roleId, secret_id: secretId.reveal() }) };
    }
    case 'kubernetes': {
      const role = required(values, 'KUBERNETES_ROLE');
      const file = either(values, 'KUBERNETES_JWT_FILE') ?? JWT_FILE;
      return { path, body: async () => ({ role, jwt: (await readFile(file, 'utf8')).trim() }) };
    }
  }
}

function required<W extends 'TOKEN' | 'ROLE_ID' | 'SECRET_ID' | 'KUBERNETES_ROLE'>(
  values: VaultValues,
  word: W,
): NonNullable<VaultValues[`VAULT_${W}`]> {
  const value = either(values, word);
  if (value != null) return value;
  throw new ConfigurationError('CONFIG_INVALID', `VAULT_${word} (or BAO_${word}) is needed and not set`);
}

/** 400: wrong role or secret id; 403: not allowed to log in. What passes is no matter of ours. */
function loginRefused(path: string, { status, body }: VaultAnswer): VaultAnswerError {
  const isRefused = status >= 400 && status < 500 && status !== 429 && status !== 412;
  return new VaultAnswerError(path, { status, body }, isRefused ? 'LoginRefused' : null);
}
