import type { FoundField } from '../catalog/field-finder.js';
import { EventError } from '../errors.js';
import { isSealed, tokenOf } from '../fernet/index.js';
import { SecretValue } from '../secret-value.js';
import { MASK } from '../terms.js';
import type { Sealer } from './context.js';

/** What an event says of one secret field. */
export type Incoming =
  | { readonly kind: 'cleared' }
  | { readonly kind: 'mask' }
  | { readonly kind: 'reference'; readonly secretId: string }
  | { readonly kind: 'text'; readonly value: SecretValue }
  | { readonly kind: 'refused'; readonly error: EventError };

/** A publisher seals once; more layers than this are somebody's mistake. */
const MAX_LAYERS = 3;
/** OpenMetadata's own spelling, and one it accepts. */
const REFERENCE = /^secrets?:(.*)$/s;

/** Whether the field was to get a value: by text, by reference, or by something that is refused. */
export function setsField({ kind }: Incoming): boolean {
  return kind === 'text' || kind === 'reference' || kind === 'refused';
}

/** Reads one field, opening what the publisher sealed. */
export function readIncoming(field: FoundField, publisher: Sealer): Incoming {
  try {
    return readOrRefuse(field, publisher);
  } catch (error) {
    if (error instanceof EventError) return { kind: 'refused', error };
    throw error;
  }
}

function readOrRefuse(field: FoundField, publisher: Sealer): Incoming {
  const text = openLayers(field, publisher);
  if (text === null || text === '') return { kind: 'cleared' };
  if (text === MASK) return { kind: 'mask' };
  const reference = REFERENCE.exec(text);
  if (reference !== null) return { kind: 'reference', secretId: referencedId(reference[1] ?? '', field) };
  if (text === 'null')
    throw new EventError('VALUE_IS_THE_WORD_NULL', `${field.pointer} holds the word null`, field.pointer);
  return { kind: 'text', value: new SecretValue(text) };
}

function openLayers(field: FoundField, publisher: Sealer): string | null {
  let text = field.value;
  for (let layer = 0; text !== null && isSealed(text); layer += 1) {
    if (layer === MAX_LAYERS)
      throw new EventError(
        'TOKEN_NOT_OPENED',
        `${field.pointer} is sealed more than ${MAX_LAYERS} times`,
        field.pointer,
      );
    text = openOrRefuse(tokenOf(text), field, publisher);
  }
  return text;
}

function openOrRefuse(token: string, field: FoundField, publisher: Sealer): string {
  try {
    return publisher.open(token);
  } catch {
    throw new EventError(
      'TOKEN_NOT_OPENED',
      `${field.pointer} is sealed with a key that PUBLISHER_FERNET_KEY does not have`,
      field.pointer,
    );
  }
}

function referencedId(secretId: string, field: FoundField): string {
  if (secretId.trim() === '')
    throw new EventError(
      'SECRET_ID_INVALID',
      `${field.pointer} holds a reference without a name`,
      field.pointer,
    );
  return secretId;
}
