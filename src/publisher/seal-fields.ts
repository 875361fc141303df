import { withValues } from '../catalog/json-path.js';
import type { FieldFinder, FoundField } from '../catalog/index.js';
import { masksSecret } from '../catalog/secret-text.js';
import { EventError } from '../errors.js';
import type { EntityClass } from '../events/fields.js';
import { isFor, isSealed, packEnvelope, sealText, tokenOf, unpackEnvelope } from '../fernet/index.js';
import type { FieldPlace, KeyRing } from '../fernet/index.js';
import { isForeignMask, isMask } from '../masks.js';
import type { JsonObject } from '../terms.js';

interface SealedEntity {
  readonly entity: JsonObject;
  /** JSON Pointers of the fields that were sealed here. */
  readonly sealed: readonly string[];
}

/** OpenMetadata writes `secret:` and also accepts `secrets:`. */
const REFERENCE = /^secrets?:/;

/**
 * A copy of an entity in which each secret field is a `fernet:` token. The sealed text names the connection and the field
 * it belongs to. Masks, references, empty fields and tokens for this very field stay as they are. Any other text that
 * looks like a token is sealed like every text.
 *
 * @throws EventError FIELD_NOT_A_STRING, EVENT_INVALID, VALUE_IS_THE_WORD_NULL, MASK_NOT_UNDERSTOOD, … naming the field
 */
export function sealFields(
  entity: JsonObject,
  connectionId: string,
  { root, kind }: Pick<EntityClass, 'root' | 'kind'>,
  finder: FieldFinder,
  ring: KeyRing,
): SealedEntity {
  const named = entity['serviceType'];
  const serviceType = typeof named === 'string' ? named : null;
  const { fields } = finder.find({ root, kind, serviceType, entity });
  const placeOf = ({ pointer }: FoundField): FieldPlace => ({ connectionId, path: pointer });
  const plain = fields.filter((field) => isPlain(field, placeOf(field), ring));
  const values = plain.map((field) => [field.path, sealOne(field, placeOf(field), ring)] as const);
  return { entity: withValues(entity, values), sealed: plain.map(({ pointer }) => pointer) };
}

function isPlain(
  { value, pointer, because, onlyIfStored }: FoundField,
  place: FieldPlace,
  ring: KeyRing,
): boolean {
  // Only the worker knows whether the field has a stored secret, which such a text then stands for.
  if (value === null || value === '' || onlyIfStored) return false;
  if (isMask(value) || REFERENCE.test(value)) return false;
  if (because === 'mask' || isForeignMask(value) || masksSecret(value))
    throw new EventError(
      'MASK_NOT_UNDERSTOOD',
      `${pointer} holds a text in which a password is masked: publish the whole text`,
      pointer,
    );
  if (!value.isWellFormed()) {
    throw new EventError('EVENT_INVALID', `${pointer} has half of a surrogate pair`, pointer);
  }
  if (value === 'null') {
    throw new EventError('VALUE_IS_THE_WORD_NULL', `${pointer} holds the word null`, pointer);
  }
  return !isSealed(value) || !isSealedFor(place, tokenOf(value), ring);
}

/** Whether this publisher, or another one with the same key, sealed the token for this very field. */
function isSealedFor(place: FieldPlace, token: string, ring: KeyRing): boolean {
  if (!ring.opens(token)) return false;
  const envelope = unpackEnvelope(ring.open(token));
  return envelope !== null && isFor(envelope, place);
}

function sealOne({ value }: FoundField, place: FieldPlace, ring: KeyRing): string {
  return sealText(ring, packEnvelope({ ...place, value: value ?? '' }));
}
