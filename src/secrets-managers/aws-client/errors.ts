import { failure, type StoreErrorClass } from '../port.js';
import type { RequestFailure } from '../requester.js';

/**
 * Names of errors as the services and the SDK give them. Branching is by name: emulators send other HTTP statuses, and
 * one status (400) stands for almost everything in AWS's JSON protocols.
 */
const NAMES: Readonly<
  Record<'throttle' | 'quota' | 'access' | 'credentials' | 'not-found' | 'conflict' | 'invalid', string>
> = {
  throttle:
    'Throttling ThrottlingException ThrottledException TooManyRequestsException TooManyUpdates SlowDown ' +
    'RequestLimitExceeded RequestThrottled RequestThrottledException PriorRequestNotComplete ' +
    'ProvisionedThroughputExceededException BandwidthLimitExceeded EC2ThrottledException',
  quota: 'LimitExceededException ParameterLimitExceeded ParameterMaxVersionLimitExceeded',
  access:
    'AccessDenied AccessDeniedException UnauthorizedException NotAuthorized OptInRequired ' +
    'DecryptionFailure EncryptionFailure InvalidKeyId KMSAccessDeniedException KMSDisabledException ' +
    'KMSInvalidStateException KMSNotFoundException',
  credentials:
    'AuthFailure UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId ' +
    'InvalidSignatureException SignatureDoesNotMatch IncompleteSignature IncompleteSignatureException ' +
    'MissingAuthenticationToken MissingAuthenticationTokenException ExpiredToken ExpiredTokenException ' +
    'RequestExpired RequestTimeTooSkewed InvalidToken CredentialsProviderError TokenProviderError ProviderError',
  'not-found': 'ResourceNotFoundException ParameterNotFound ParameterVersionNotFound InvalidResourceId',
  conflict: 'ResourceExistsException ParameterAlreadyExists PreconditionNotMetException',
  invalid:
    'ValidationException InvalidParameterException InvalidParameterValue InvalidRequestException ' +
    'ParameterPatternMismatchException UnsupportedParameterType HierarchyTypeMismatchException ' +
    'HierarchyLevelLimitExceededException TooManyTagsError SerializationException InvalidNextTokenException',
};

type NamedClass = keyof typeof NAMES;

const CLASS_BY_NAME: ReadonlyMap<string, NamedClass> = new Map(
  (Object.keys(NAMES) as NamedClass[]).flatMap((named) =>
    NAMES[named].split(' ').map((name) => [name, named] as const),
  ),
);

/** Where the cause may be that somebody else was asked than was meant. */
const PLACE_MATTERS: ReadonlySet<NamedClass> = new Set<NamedClass>(['throttle', 'access', 'credentials']);

/** Services as policies name them, by the SDK's names of their calls. */
function serviceOf(call: string): string {
  return /Parameters?$|^(?:AddTagsTo|ListTagsFor)Resource$/.test(call) ? 'ssm' : 'secretsmanager';
}

/** What to do; of a denial the permission, by the name that policies have for it. Null: time heals it. */
function remedyOf(call: string, { name, status }: ErrorFacts): string | null {
  if (/^KMS|^(De|En)cryptionFailure$|^InvalidKeyId$/.test(name)) return 'the KMS key is not usable';
  if (/^RequestExpired$|Skewed$/.test(name)) return 'set the clock of this machine';
  const named = CLASS_BY_NAME.get(name);
  if (named === 'credentials')
    return 'renew or correct the credentials (OM_SM_ACCESS_KEY_ID, or where the AWS SDK finds them)';
  if (named === 'access') return `grant ${serviceOf(call)}:${call}`;
  const isUnanswered = named === undefined && status === null && name !== 'AbortError';
  return isUnanswered ? 'check OM_SM_REGION, AWS_ENDPOINT_URL and the network' : null;
}

/** Where it was asked: nothing of it is a credential. */
export interface AskedAt {
  readonly region: string | undefined;
  readonly host: string | null;
}

export function placeText({ region, host }: AskedAt): string {
  const at = host === null ? '' : ` at ${host}`;
  return region === undefined ? at : `${at}, region ${region}`;
}

/** The connection was never there, so nothing was sent. */
const NEVER_CONNECTED = /^(ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|NotSentError)$/;

/** Of the system and of TLS. */
const SYSTEM_CODE = /^(?:E|CERT_|DEPTH_|SELF_SIGNED_|UNABLE_TO_)[A-Z_]{3,40}$/;

interface ErrorFacts {
  readonly name: string;
  readonly status: number | null;
}

/**
 * The name of an error and the HTTP status with it. Only what looks like a name goes on: the text comes from the other
 * side, and messages of the SDK can quote what they were given.
 */
function factsOf(error: unknown): ErrorFacts {
  if (typeof error !== 'object' || error === null) return { name: 'UnknownError', status: null };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  const ownName = 'name' in error && typeof error.name === 'string' ? error.name : null;
  const system = code !== null && SYSTEM_CODE.test(code);
  const name = (system ? code : ownName) ?? 'UnknownError';
  return { name: /^[A-Za-z0-9_]{1,64}$/.test(name) ? name : 'UnknownError', status: statusOf(error) };
}

function statusOf(error: object): number | null {
  if (!('$metadata' in error) || typeof error.$metadata !== 'object' || error.$metadata === null) return null;
  const metadata = error.$metadata;
  const hasStatus = 'httpStatusCode' in metadata && typeof metadata.httpStatusCode === 'number';
  return hasStatus ? (metadata.httpStatusCode as number) : null;
}

/**
 * Classifies what a request threw. What has a name that is known for a refusal was not applied; anything else was
 * perhaps, if it was sent.
 *
 * @param sent whether the request may have left this process
 */
export function classify(
  provider: string,
  call: string,
  error: unknown,
  { sent, ...askedAt }: AskedAt & { readonly sent: boolean },
): RequestFailure {
  const facts = factsOf(error);
  const { name, status } = facts;
  const named = CLASS_BY_NAME.get(name) ?? classByStatus(status);
  const remedy = remedyOf(call, facts);
  const place = named === null || PLACE_MATTERS.has(named) ? placeText(askedAt) : '';
  const message = `${provider}: ${call} failed with ${name}${place}${remedy === null ? '' : `: ${remedy}`}`;
  if (named === null) {
    const applied = sent && !NEVER_CONNECTED.test(name) ? 'unknown' : 'no';
    return { ok: false, name, throttled: false, failure: failure('transient', message, { applied }) };
  }
  const throttled = named === 'throttle';
  const errorClass: StoreErrorClass = named === 'throttle' ? 'transient' : named;
  const gone = name === 'ParameterVersionNotFound' ? { code: 'SECRET_VERSION_GONE' as const } : {};
  // A throttle that comes with a 5xx says no less clearly that nothing was done.
  return { ok: false, name, throttled, failure: failure(errorClass, message, gone) };
}

/** For names nobody knows: a 4xx of a proxy in between must not make a dead letter of an event, so it stays passing. */
function classByStatus(status: number | null): NamedClass | null {
  if (status === 429) return 'throttle';
  return status === 401 || status === 403 ? 'access' : null;
}
