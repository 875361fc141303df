import { withValues } from '../catalog/json-access.js';
import type { FieldFinder, FoundField } from '../catalog/index.js';
import { EventError } from '../errors.js';
import type { EntityClass } from '../events/entity-type.js';
import { FernetError, isSealed, sealText, tokenOf } from '../fernet/index.js';
import type { KeyRing } from '../fernet/index.js';
import { MASK } from '../terms.js';
import type { JsonObject } from '../terms.js';

export interface SealedEntity {
  readonly entity: JsonObject;
  /** JSON Pointers of the fields that were sealed here. */
  readonly sealed: readonly string[];
}

/** OpenMetadata's own spelling, and one it accepts. */
const REFERENCE = /^secrets?:/;

/**
 * A copy of an entity in which every secret field is a `fernet:` token of its own. Masks, references, empty fields and what
 * is sealed already stay as they are.
 *
 * @throws EventError FIELD_NOT_A_STRING, EVENT_INVALID, VALUE_IS_THE_WORD_NULL, TOKEN_NOT_OPENED, … naming the field
 */
export function sealFields(
  entity: JsonObject,
  { root, kind }: Pick<EntityClass, 'root' | 'kind'>,
  finder: FieldFinder,
  ring: KeyRing,
): SealedEntity {
  const named = entity['serviceType'];
  const serviceType = typeof named === 'string' ? named : null;
  const { fields } = finder.find({ root, kind, serviceType, entity });
  const plain = fields.filter((field) => isPlain(field, ring));
  const values = plain.map((field) => [field.path, sealOne(field, ring)] as const);
  return { entity: withValues(entity, values), sealed: plain.map(({ pointer }) => pointer) };
}

function isPlain({ value, pointer }: FoundField, ring: KeyRing): boolean {
  if (value === null || value === '' || value === MASK || REFERENCE.test(value)) return false;
  if (value === 'null') {
    throw new EventError('VALUE_IS_THE_WORD_NULL', `${pointer} holds the word null`, pointer);
  }
  if (!isSealed(value)) return true;
  if (ring.opens(tokenOf(value))) return false;
  // Under a key that is not ours, or a password that happens to begin so: it can not be told, so it does not go out.
  throw new EventError(
    'TOKEN_NOT_OPENED',
    `${pointer} begins with fernet: and is opened by no key of ${ring.name}`,
    pointer,
  );
}

function sealOne({ value, pointer }: FoundField, ring: KeyRing): string {
  try {
    return sealText(ring, value ?? '');
  } catch (error) {
    if (!(error instanceof FernetError)) throw error;
    throw new EventError('EVENT_INVALID', `${pointer} has half of a surrogate pair`, pointer);
  }
}
