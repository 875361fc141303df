import type { SecretValue } from '../secret-value.js';
import { failure, type Failure, type PutItem, type StoreLimits } from './port.js';

export interface LimitViolation {
  readonly code: 'VALUE_TOO_LONG' | 'VALUE_REFUSED_BY_STORE' | 'SECRET_ID_INVALID';
  /** Names the limit and the secret id; never the value. */
  readonly message: string;
}

/** Levels of a hierarchical id, as the SSM Parameter Store counts them: `/a/b/c` has three. */
function levelsOf(secretId: string): number {
  return secretId.split('/').filter((segment) => segment !== '').length;
}

/** Why this store refuses the id, or null. */
export function idViolation(limits: StoreLimits, secretId: string): LimitViolation | null {
  const invalid = (message: string): LimitViolation => ({ code: 'SECRET_ID_INVALID', message });
  if (secretId.length > limits.maxIdLength) {
    return invalid(
      `the secret id has ${secretId.length} characters, at most ${limits.maxIdLength} are taken`,
    );
  }
  if (limits.maxIdLevels !== undefined && levelsOf(secretId) > limits.maxIdLevels) {
    return invalid(`the secret id ${secretId} has more than ${limits.maxIdLevels} levels`);
  }
  if (limits.refusedId?.pattern.test(secretId)) {
    return invalid(`the secret id ${secretId} is refused: ${limits.refusedId.reason}`);
  }
  return null;
}

/** Why this store refuses the value, or null. */
export function valueViolation(
  limits: StoreLimits,
  secretId: string,
  value: SecretValue,
): LimitViolation | null {
  if (value.byteLength > limits.maxValueBytes) {
    return {
      code: 'VALUE_TOO_LONG',
      message: `the value for ${secretId} has ${value.byteLength} bytes, at most ${limits.maxValueBytes} are taken`,
    };
  }
  const refused = refusedContentOf(limits, value);
  if (refused === null) return null;
  return {
    code: 'VALUE_REFUSED_BY_STORE',
    message: `the value for ${secretId} is refused by the store: it has ${refused}`,
  };
}

function refusedContentOf(limits: StoreLimits, value: SecretValue): string | null {
  if (value.byteLength === 0) return 'nothing in it';
  // Half a character has no UTF-8 form: a store would hand back another one.
  if (/\p{Surrogate}/u.test(value.reveal())) return 'an unpaired surrogate in it';
  const found = limits.refusedTexts.find((text) => value.reveal().includes(text));
  return found === undefined ? null : `the characters ${found} in it`;
}

/** The first limit that the id or the value breaks, or null. Makes no call. */
export function limitViolation(
  limits: StoreLimits,
  secretId: string,
  value: SecretValue,
): LimitViolation | null {
  return idViolation(limits, secretId) ?? valueViolation(limits, secretId, value);
}

/** The providers' own check before any call: what breaks a limit never leaves the process. */
export function refusedByLimits(limits: StoreLimits, provider: string, item: PutItem): Failure | null {
  const violation = limitViolation(limits, item.secretId, item.value);
  return violation === null ? null : failure('invalid', `${provider}: ${violation.message}`);
}
