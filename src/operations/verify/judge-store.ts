import type { ReferenceRow, StoredSecretRow } from '../../database/rows.js';
import { fingerprintOf } from '../../pipeline/references.js';
import { ownershipText } from '../../secrets-managers/ownership.js';
import type { Description, Fetched, StoreResult } from '../../secrets-managers/port.js';
import type { SecretValue } from '../../secret-value.js';
import { finding, type Finding } from './finding.js';

/** A live secret with the field it belongs to. */
export interface SecretInUse {
  readonly row: StoredSecretRow;
  readonly field: ReferenceRow;
}

/** Whether a value is the recorded one; null: none is recorded. */
export function isRecordedValue(key: Buffer, { field }: SecretInUse, value: SecretValue): boolean | null {
  const { fingerprint, connectionId, path } = field;
  return fingerprint === null ? null : fingerprintOf(key, connectionId, path, value.reveal()) === fingerprint;
}

/**
 * Compares the store's current value of a secret with the record; null: they agree.
 *
 * @param describe looks at this one secret. It says why there is no value, and which version is the current one: an answer
 *   for many secrets may be outdated
 */
export async function judgeValue(
  key: Buffer,
  secret: SecretInUse,
  result: StoreResult<Fetched>,
  describe: () => Promise<StoreResult<Description>>,
): Promise<Finding | null> {
  if (result.ok) {
    const judged = judgeVersion(key, secret, result.value);
    if (judged?.kind !== 'changed' && judged?.kind !== 'version') return judged;
    const described = await describe();
    const { value } = result.value;
    return described.ok ? judgeVersion(key, secret, { value, version: described.value.version }) : judged;
  }
  const { error } = result;
  const place = placeOf(secret);
  if (error.class === 'access') return finding('denied', place, error.message);
  const described = await describe();
  if (described.ok && described.value.scheduledForDeletion)
    return finding('scheduled', place, 'scheduled for deletion');
  return finding(error.class === 'not-found' ? 'missing' : 'denied', place, error.message);
}

function judgeVersion(
  key: Buffer,
  secret: SecretInUse,
  { value, version }: Pick<Fetched, 'value' | 'version'>,
): Finding | null {
  const { version: recorded } = secret.row;
  const isSame = isRecordedValue(key, secret, value);
  if (recorded !== null && version !== recorded) {
    const what = isSame === null ? 'a value' : isSame ? 'the recorded value' : 'another value';
    return finding(
      isSame === true ? 'version' : 'changed',
      placeOf(secret),
      `${what} under the version ${version}, recorded is ${recorded}`,
    );
  }
  // Version numbers begin again if a secret is deleted and made anew, so only the value tells.
  if (isSame === false)
    return finding('replaced', placeOf(secret), `another value under the version ${version}`);
  return null;
}

function placeOf({ row: { manager, connectionId, secretId }, field: { path } }: SecretInUse) {
  return { manager, connectionId, secretId, path };
}

/** Compares the tags of a secret with the record; null: they name our connection and our installation. */
export function judgeTags(secret: SecretInUse, result: StoreResult<Description>): Finding | null {
  const { connectionId } = secret.row;
  const place = placeOf(secret);
  if (!result.ok)
    return result.error.class === 'access' ? finding('denied', place, result.error.message) : null;
  const { ownedBy, installation } = result.value;
  if (ownedBy !== connectionId) return finding('tags', place, ownershipText(result.value));
  return installation === 'ours' ? null : finding('tags', place, 'carries no tag of an installation');
}
