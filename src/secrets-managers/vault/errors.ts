import { failure, type Failure } from '../port.js';
import type { RequestFailure } from '../requester.js';
import type { VaultAnswer } from './http.js';

export const CAS_MISMATCH = 'CasMismatch';
export const NOT_FOUND = 'NotFound';

/** Names of answers, for branching, logs and metrics. */
type AnswerName =
  | typeof CAS_MISMATCH
  | typeof NOT_FOUND
  | 'NoSuchMount'
  | 'PermissionDenied'
  | 'TokenUnknown'
  | 'LoginRefused'
  | 'Throttled'
  | 'Sealed'
  | 'NotReady'
  | 'Refused'
  | 'Redirected'
  | 'ServerError'
  | 'UnknownAnswer';

/** An answer that is no success. Carries its name and status, never the server's text. */
export class VaultAnswerError extends Error {
  override readonly name = 'VaultAnswerError';
  readonly path: string;
  readonly answer: AnswerName;
  readonly status: number;

  constructor(path: string, answer: VaultAnswer, name: AnswerName | null = null) {
    super('the server answered with an error');
    this.path = path;
    this.status = answer.status;
    this.answer = name ?? nameOf(answer);
  }
}

/** What is known of texts of the server; nothing else of them is looked at. Source: the KV version 2 plugin. */
function nameOf({ status, body }: VaultAnswer): AnswerName {
  const texts = errorTexts(body);
  const says = (part: string): boolean => texts?.some((text) => text.includes(part)) === true;
  switch (status) {
    case 400:
      if (says('check-and-set parameter did not match')) return CAS_MISMATCH;
      // A store that answers so to a value must not be asked for it again.
      return says('custom_metadata validation failed') || says('too large') ? 'Refused' : 'UnknownAnswer';
    case 403:
      return 'PermissionDenied';
    case 404:
      if (says('no handler for route') || says('route entry not found')) return 'NoSuchMount';
      // An empty list, or what is left of a deleted version: so answers Vault, and no proxy.
      return texts?.length === 0 || hasMetadata(body) ? NOT_FOUND : 'UnknownAnswer';
    case 413:
      return 'Refused';
    case 412:
    case 472:
    case 473:
      return 'NotReady';
    case 429:
      return 'Throttled';
    case 503:
      return says('sealed') ? 'Sealed' : 'NotReady';
    default:
      if (status >= 300 && status < 400) return 'Redirected';
      return status >= 500 ? 'ServerError' : 'UnknownAnswer';
  }
}

function errorTexts(body: unknown): readonly string[] | null {
  if (typeof body !== 'object' || body === null || !('errors' in body) || !Array.isArray(body.errors))
    return null;
  return body.errors.filter((text) => typeof text === 'string');
}

/** The answer for a version that is deleted or destroyed. */
export function hasMetadata(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || !('data' in body)) return false;
  const { data } = body;
  return typeof data === 'object' && data !== null && 'metadata' in data && data.metadata != null;
}

/** Nothing was sent where the connection was never there. */
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|NotSentError|CERT_[A-Z_]+|DEPTH_[A-Z_]+|SELF_SIGNED_[A-Z_]+|UNABLE_TO_[A-Z_]+|ERR_TLS_[A-Z_]+)$/;

const CAPABILITY: Readonly<Record<string, string>> = {
  GET: 'read',
  POST: 'create and update',
  DELETE: 'delete',
};

/** What the policy lacks: `secret/data/a/b` is named by its folder, as policies are. */
function grantText(call: string, path: string): string {
  const [method = ''] = call.split(' ');
  const capability = call === 'GET list' ? 'list' : (CAPABILITY[method] ?? method);
  return `grant ${capability} on ${decodeURIComponent(path.replace(/\?.*$/, ''))}`;
}

/**
 * Classifies what a request threw. Only an answer that says so was not applied.
 *
 * @param call method and part of the API, such as `POST data`
 * @param sent whether the request may have left this process
 */
export function classifyVault(
  provider: string,
  call: string,
  error: unknown,
  { host, sent }: { readonly host: string | null; readonly sent: boolean },
): RequestFailure {
  const at = host === null ? '' : ` at ${host}`;
  if (error instanceof VaultAnswerError) return classifyAnswer(provider, call, error, at);
  const name = systemName(error);
  const applied = sent && !NEVER_CONNECTED.test(name) ? 'unknown' : 'no';
  const message = `${provider}: ${call} failed with ${name}${at}: check VAULT_ADDR, its certificate and the network`;
  return { ok: false, name, throttled: false, failure: failure('transient', message, { applied }) };
}

function classifyAnswer(provider: string, call: string, error: VaultAnswerError, at: string): RequestFailure {
  const { answer: name, status, path } = error;
  const made = (made: Failure, throttled = false): RequestFailure => ({
    ok: false,
    name,
    throttled,
    failure: made,
  });
  const text = `${provider}: ${call} failed with ${name} (${status})${at}`;
  switch (name) {
    case CAS_MISMATCH:
      return made(failure('conflict', `${provider}: ${call}: another version is current`));
    case NOT_FOUND:
      return made(failure('not-found', text));
    case 'PermissionDenied':
      return made(failure('access', `${text}: ${grantText(call, path)}`));
    case 'NoSuchMount':
      return made(
        failure('access', `${text}: there is no secrets engine at VAULT_MOUNT, or not in VAULT_NAMESPACE`),
      );
    case 'TokenUnknown':
      return made(
        failure('credentials', `${text}: renew VAULT_TOKEN, or log in by another VAULT_AUTH_METHOD`),
      );
    case 'LoginRefused':
      return made(
        failure(
          'credentials',
          `${provider}: the login at ${path} was refused (${status})${at}: check role and secret`,
        ),
      );
    case 'Throttled':
      return made(failure('transient', text), true);
    case 'Sealed':
      return made(failure('transient', `${text}: unseal it`));
    case 'Refused':
      return made(failure('invalid', text));
    case 'Redirected':
      return made(failure('transient', `${text}: set VAULT_ADDR to an address that answers itself`));
    case 'NotReady':
    case 'ServerError':
    case 'UnknownAnswer':
      return made(failure('transient', text, { applied: 'unknown' }));
  }
}

/** Only what looks like a name goes on. */
function systemName(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'UnknownError';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  const name = 'name' in error && typeof error.name === 'string' ? error.name : null;
  const found = code !== null && code !== 'ABORT_ERR' ? code : (name ?? 'UnknownError');
  return /^[A-Za-z0-9_]{1,64}$/.test(found) ? found : 'UnknownError';
}
