import { EventError } from '../errors.js';
import { isEnvelope, isFor, isSealed, tokenOf, unpackEnvelope } from '../fernet/index.js';
import type { PlanContext, Sealer } from './context.js';

/** What opens the tokens of events. */
export interface TokenOpener {
  readonly rings: Pick<PlanContext['rings'], 'publisher'>;
  readonly rules: Pick<PlanContext['rules'], 'publisherTokens'>;
}

/** The field that an event has a text in. */
export interface TokenPlace {
  readonly connectionId: string;
  /** JSON Pointer into the entity as it came. */
  readonly pointer: string;
}

/** A publisher seals once; more layers than this are somebody's mistake. */
const MAX_LAYERS = 3;

/**
 * What a publisher has sealed, or the text as it is. What an envelope holds is final: a text that looks like a token was
 * sealed like any other, and is not opened.
 *
 * @throws EventError TOKEN_NOT_OPENED, TOKEN_NOT_BOUND, TOKEN_FOR_ANOTHER_FIELD naming the field, never the text
 */
export function openPublished(given: string, place: TokenPlace, { rings, rules }: TokenOpener): string {
  let text = given;
  for (let layer = 0; isSealed(text); layer += 1) {
    if (layer === MAX_LAYERS)
      throw refused('TOKEN_NOT_OPENED', place, `is sealed more than ${MAX_LAYERS} times`);
    text = openOrRefuse(text, place, rings.publisher);
    if (isEnvelope(text)) return valueFor(place, text);
    if (rules.publisherTokens === 'bound')
      throw refused('TOKEN_NOT_BOUND', place, 'is sealed in a token that does not say for which field it is');
  }
  return text;
}

function openOrRefuse(sealed: string, place: TokenPlace, ring: Sealer | null): string {
  if (ring === null)
    throw refused('TOKEN_NOT_OPENED', place, 'is a fernet: token, and PUBLISHER_FERNET_KEY is not set');
  try {
    return ring.open(tokenOf(sealed));
  } catch {
    throw refused('TOKEN_NOT_OPENED', place, 'is sealed with a key that PUBLISHER_FERNET_KEY does not have');
  }
}

function valueFor({ connectionId, pointer }: TokenPlace, text: string): string {
  const envelope = unpackEnvelope(text);
  if (envelope === null)
    throw refused(
      'TOKEN_NOT_BOUND',
      { connectionId, pointer },
      'is sealed in an envelope that is not well-formed',
    );
  if (!isFor(envelope, { connectionId, path: pointer })) {
    const whose = envelope.connectionId === connectionId ? 'another field' : 'another connection';
    throw refused(
      'TOKEN_FOR_ANOTHER_FIELD',
      { connectionId, pointer },
      `holds a token that was sealed for ${whose}`,
    );
  }
  return envelope.value;
}

function refused(
  code: 'TOKEN_NOT_OPENED' | 'TOKEN_NOT_BOUND' | 'TOKEN_FOR_ANOTHER_FIELD',
  { pointer }: TokenPlace,
  what: string,
): EventError {
  return new EventError(code, `${pointer} ${what}`, pointer);
}
