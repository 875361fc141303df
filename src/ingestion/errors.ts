import { WorkerError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { FERNET_PREFIX } from '../terms.js';

/**
 * Why a reference has no value.
 *
 * - `not-found`: the store answered, and has no such secret
 * - `access`: credentials or permissions, or no store is configured that could be asked
 * - `unavailable`: the store does not answer, is throttled or fails; worth another attempt
 * - `not-opened`: a sealed text that no key of the list opens
 * - `unreadable`: the store has something under this name that is no secret text (binary, a reference, a mask)
 */
export type UnresolvedReason = 'not-found' | 'access' | 'unavailable' | 'not-opened' | 'unreadable';

const CODES = {
  'not-found': 'SECRET_NOT_FOUND',
  access: 'STORE_ACCESS',
  unavailable: 'STORE_UNAVAILABLE',
  'not-opened': 'TOKEN_NOT_OPENED',
  unreadable: 'VALUE_REFUSED_BY_STORE',
} as const satisfies Record<UnresolvedReason, ErrorCode>;

/** Characters of a token that errors show. */
const SHOWN_TOKEN = 24;

/**
 * A reference that has no value. Base of the five classes below, one per {@link UnresolvedReason}. `message` names the
 * reference and what the store said by name; it never holds a value or the text of an SDK.
 */
export abstract class UnresolvedReferenceError extends WorkerError {
  /** `secret:…` as a whole, of a `fernet:` token only its beginning. */
  readonly reference: string;
  readonly reason: UnresolvedReason;

  protected constructor(reason: UnresolvedReason, reference: string, detail: string) {
    const shown = shownReference(reference);
    super(CODES[reason], `${shown}: ${detail}`);
    this.reference = shown;
    this.reason = reason;
  }

  /** Another attempt does not help: only a newer event of the connection, or a person, changes this. */
  get isFinal(): boolean {
    return this.reason === 'not-found' || this.reason === 'not-opened' || this.reason === 'unreadable';
  }
}

/** The store has no secret of this name. */
export class SecretNotFoundError extends UnresolvedReferenceError {
  override readonly name = 'SecretNotFoundError';
  constructor(reference: string, detail: string) {
    super('not-found', reference, detail);
  }
}

/** The store denies the read, or no reader is configured for it. */
export class SecretAccessError extends UnresolvedReferenceError {
  override readonly name = 'SecretAccessError';
  constructor(reference: string, detail: string) {
    super('access', reference, detail);
  }
}

/** The store is down, throttled or out of reach. */
export class SecretStoreUnavailableError extends UnresolvedReferenceError {
  override readonly name = 'SecretStoreUnavailableError';
  constructor(reference: string, detail: string) {
    super('unavailable', reference, detail);
  }
}

/** A `fernet:` text that no key of INGESTION_FERNET_KEY opens. */
export class SealedReferenceError extends UnresolvedReferenceError {
  override readonly name = 'SealedReferenceError';
  constructor(reference: string, detail: string) {
    super('not-opened', reference, detail);
  }
}

/** What the store has under this name is no secret text. */
export class SecretUnreadableError extends UnresolvedReferenceError {
  override readonly name = 'SecretUnreadableError';
  constructor(reference: string, detail: string) {
    super('unreadable', reference, detail);
  }
}

/** The text to resolve is no reference. The message does not repeat it: it may be the value itself. */
export class NotAReferenceError extends WorkerError {
  override readonly name = 'NotAReferenceError';
  constructor() {
    super('USAGE_INVALID', 'a text that begins neither with secret: nor with fernet: is no reference');
  }
}

function shownReference(reference: string): string {
  const shown = FERNET_PREFIX.length + SHOWN_TOKEN;
  return reference.startsWith(FERNET_PREFIX) && reference.length > shown
    ? `${reference.slice(0, shown)}…`
    : reference;
}
