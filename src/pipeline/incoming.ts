import type { FoundField } from '../catalog/field-finder.js';
import { masksSecret } from '../catalog/secret-text.js';
import { EventError } from '../errors.js';
import { isForeignMask, isMask } from '../masks.js';
import { SecretValue } from '../secret-value.js';
import { openPublished, type TokenOpener } from './publisher-token.js';

/** What an event says of one secret field. */
export type Incoming =
  | { readonly kind: 'cleared' }
  | { readonly kind: 'mask' }
  /** It stands for a value, but it is not ours, or only a part of the text: it neither keeps nor sets anything. */
  | { readonly kind: 'foreignMask'; readonly error: EventError }
  | { readonly kind: 'reference'; readonly secretId: string }
  | { readonly kind: 'text'; readonly value: SecretValue }
  | { readonly kind: 'refused'; readonly error: EventError };

/** OpenMetadata's own spelling, and one it accepts. */
const REFERENCE = /^secrets?:(.*)$/s;

/** Whether the field was to get a value: by text, by reference, or by something that is refused. */
export function setsField({ kind }: Incoming): boolean {
  return kind === 'text' || kind === 'reference' || kind === 'refused';
}

/** Reads one field, opening what the publisher sealed. */
export function readIncoming(field: FoundField, connectionId: string, opener: TokenOpener): Incoming {
  try {
    return readOrRefuse(field, connectionId, opener);
  } catch (error) {
    if (error instanceof EventError) return { kind: 'refused', error };
    throw error;
  }
}

function readOrRefuse(field: FoundField, connectionId: string, opener: TokenOpener): Incoming {
  const { pointer, value } = field;
  const text = value === null ? null : openPublished(value, { connectionId, pointer }, opener);
  if (text === null || text === '') return { kind: 'cleared' };
  if (isMask(text)) return { kind: 'mask' };
  // The finder has told texts that need not be secrets only because something in them is hidden.
  if (field.because === 'mask' || isForeignMask(text) || masksSecret(text)) return foreignMask(field);
  const reference = REFERENCE.exec(text);
  if (reference !== null) return { kind: 'reference', secretId: referencedId(reference[1] ?? '', field) };
  if (text === 'null')
    throw new EventError('VALUE_IS_THE_WORD_NULL', `${field.pointer} holds the word null`, field.pointer);
  return { kind: 'text', value: new SecretValue(text) };
}

function foreignMask({ pointer }: FoundField): Incoming {
  const what = 'in which a password is hidden, but not by the mask that stands for the stored one';
  return {
    kind: 'foreignMask',
    error: new EventError('MASK_NOT_UNDERSTOOD', `${pointer} holds a text ${what}`, pointer),
  };
}

function referencedId(secretId: string, field: FoundField): string {
  if (secretId.trim() === '')
    throw new EventError(
      'REFERENCE_INVALID',
      `${field.pointer} holds a reference without a name`,
      field.pointer,
    );
  return secretId;
}
