import { EventError } from '../errors.js';
import { isSealed } from '../fernet/index.js';
import type { FoundField, FoundFields } from '../catalog/field-finder.js';
import type { Incoming } from './incoming.js';

/** `SOURCE_VALUES=sealed`: what an event says of a field, refused where its value was readable on the topic. */
export function onlySealed(field: FoundField, incoming: Incoming): Incoming {
  const isPlain = incoming.kind === 'text' && !(field.value !== null && isSealed(field.value));
  return isPlain ? { kind: 'refused', error: notSealed(field.pointer) } : incoming;
}

/** What only looks like a secret and would be left as it is (`SECRET_BY_NAME=report`) is in the clear as well. */
export function refuseReported({ reported }: FoundFields): void {
  const [pointer] = reported;
  if (pointer !== undefined) throw notSealed(pointer);
}

function notSealed(pointer: string): EventError {
  return new EventError(
    'VALUE_NOT_SEALED',
    `${pointer} holds a secret in the clear, and SOURCE_VALUES is sealed`,
    pointer,
  );
}
