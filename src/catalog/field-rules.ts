import { isForeignMask, isMask, mayHideSomething } from '../masks.js';
import { type Json, MASK } from '../terms.js';
import { type KeyMeaning, isAnswer } from './key-names.js';
import { holdsSecret, isReferenceText, isSealedText, isStandIn, masksSecret } from './secret-text.js';

/**
 * Whether a field of a connection's configuration decides where its secrets are sent, or how well that is checked. In
 * doubt it does: a change that is reported although it moves nothing costs a look, one that is not costs a password.
 */

/** Parts of a key, however it is written: `hostPort`, `host_port` and `HOST-PORT` are all `hostport`. */
const PARTS =
  /host|ur[il]|endpoint|addr|server|broker|bootstrap|account|region|tenant|domain|gateway|prox(?:y|ies)|dsn|[jo]dbc|driver|scheme$|dialect|protocol|ssl|tls|certificate|verify|socket|tunnel|issuer|authority|cluster|instance|namespace|nodes?$|contactpoint|zookeeper|quorum|listener|metastore|webhook|callback|redirect|site|workspace|environment|location|datacenter|project|organi[sz]ation|servicename|tns|serviceconnection|connectiontype|servicetype|pythonclass|(?<!re|sup|im|ex|trans)ports?(?:number)?$/;
const WHOLE = new Set('type ip sid org orgid crn path'.split(' '));
/** Maps that go to a driver as they are: any member of them may be an address, under whatever name. */
const DRIVER_MAPS =
  /(?:options|arguments|args|params|parameters|properties|overrides|extras?)$|(?:consumer|producer|registry|client|session|spark|hadoop)conf(?:ig)?$/;
/** Patterns of names in the source: read by the connector, never dialled. */
const PATTERN_ENDING = 'filterpattern';
const LONGEST_KEY = 200;

export type EndpointMeaning = 'endpoint' | 'pattern' | 'other';

/** What a key says of everything at and below it. */
export function endpointMeaningOf(key: string): EndpointMeaning {
  const joined = key
    .slice(-LONGEST_KEY)
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '');
  if (joined.endsWith(PATTERN_ENDING)) return 'pattern';
  return WHOLE.has(joined) || PARTS.test(joined) || DRIVER_MAPS.test(joined) ? 'endpoint' : 'other';
}

const LONGEST_ADDRESS = 4_096;

/** A text that looks like an address, whatever its key. */
export function isAddress(value: Json): boolean {
  if (typeof value !== 'string') return false;
  if (value.includes('://')) return true;
  const text = value.slice(0, LONGEST_ADDRESS).trim();
  return HOST_WITH_PORT.test(text) || HOST.test(text) || NUMBERS.test(text) || text.startsWith('//');
}

const HOST_WITH_PORT = /^[\w.[\]:-]+:\d{1,5}(?:[/?,;\s]|$)/;
const HOST = /^(?:[\w-]{1,63}\.)+[a-z][\w-]{0,62}\.?(?:[/,;]|$)/i;
const NUMBERS = /^\[?(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f]*:[\da-f:]+)\]?(?:[:/,;]|$)/i;

/**
 * What a string that no schema declares is.
 *
 * - `because`: its key says that it is a secret; its text holds one; it stands for one; something in it is hidden
 * - `onlyIfStored`: it stands for a secret where one is stored for its field, and else for nothing
 */
export interface TextFinding {
  readonly because: 'name' | 'url' | 'reference' | 'mask';
  readonly onlyIfStored: boolean;
}

/** @param isConfiguration whether the text belongs to what connects, and not to what people read */
export function findingOf(
  text: string,
  meaning: KeyMeaning,
  isConfiguration: () => boolean,
): TextFinding | null {
  if (meaning !== 'plain' && !isAnswer(text, meaning)) return { because: 'name', onlyIfStored: false };
  if (text === MASK || isReferenceText(text) || isSealedText(text))
    return { because: 'reference', onlyIfStored: false };
  if (holdsSecret(text)) {
    if (!masksSecret(text)) return { because: 'url', onlyIfStored: false };
    // A masked address connects to nothing: it is refused, but in a text for people, where it is an example.
    return { because: 'mask', onlyIfStored: !isConfiguration() };
  }
  if (!mayHideSomething(text)) return null;
  return { because: isMask(text) ? 'reference' : 'mask', onlyIfStored: true };
}

/** Whether a text is no value, but stands for one, or has a part that does. */
export function standsForSecret(text: string): boolean {
  return isStandIn(text) || isForeignMask(text) || masksSecret(text);
}

/** A key that is a secret itself, such as a URL with a password: it can be neither replaced nor left. */
export function isSecretKeyText(key: string): boolean {
  return (key.includes('://') || key.includes('@') || key.includes('=')) && holdsSecret(key);
}
