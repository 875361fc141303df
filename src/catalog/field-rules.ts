import { isForeignMask, isMask, mayHideSomething } from '../masks.js';
import { type Json, MASK } from '../terms.js';
import { type KeyMeaning, isAnswer } from './key-names.js';
import { holdsSecret, isReferenceText, isSealedText, isStandIn, masksSecret } from './secret-text.js';

/**
 * Whether a field of a connection's configuration decides where its secrets are sent, or how well the other end is checked.
 * In doubt it does. Reporting a change that moves nothing costs somebody a look; not reporting one costs a password.
 */

/** Parts of keys, in lower case and without signs: `hostPort`, `host_port` and `HOST-PORT` are all `hostport`. */
const PARTS =
  /host|ur[il]|endpoint|addr|server|broker|bootstrap|account|region|tenant|domain|gateway|prox(?:y|ies)|dsn|[jo]dbc|driver|scheme$|dialect|protocol|ssl|tls|certificate|verify|socket|tunnel|issuer|authority|cluster|instance|namespace|nodes?$|contactpoint|zookeeper|quorum|listener|metastore|webhook|callback|redirect|site|workspace|environment|location|datacenter|project|organi[sz]ation|servicename|tns|serviceconnection|connectiontype|servicetype|pythonclass|(?<!re|sup|im|ex|trans)ports?(?:number)?$/;
const WHOLE = new Set('type ip sid org orgid crn path'.split(' '));
/** Maps that go to a driver as they are. Any member of them may be an address, whatever its name. */
const DRIVER_MAPS =
  /(?:options|arguments|args|params|parameters|properties|overrides|extras?)$|(?:consumer|producer|registry|client|session|spark|hadoop)conf(?:ig)?$/;
/** Patterns of names in the source. The connector compares names with them and never connects to them. */
const PATTERN_ENDING = 'filterpattern';
const LONGEST_KEY = 200;

export type EndpointMeaning = 'endpoint' | 'pattern' | 'other';

/** What a key says of its value and of everything below it. */
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

/** Whether a value looks like an address, whatever its key. */
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
 * Why a string that no schema declares is a secret field.
 *
 * - `because`: `name`: its key says so; `url`: its text contains a secret; `reference`: its text stands for one; `mask`: a
 *   part of its text is masked
 * - `onlyIfStored`: it stands for a secret only if its field has a stored one
 */
export interface TextFinding {
  readonly because: 'name' | 'url' | 'reference' | 'mask';
  readonly onlyIfStored: boolean;
}

/** @param isConfiguration whether the text is part of the connection's configuration, and not a text for people */
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
    // Nothing can connect to a masked address, so it is refused. In a text for people it is only an example.
    return { because: 'mask', onlyIfStored: !isConfiguration() };
  }
  if (!mayHideSomething(text)) return null;
  return { because: isMask(text) ? 'reference' : 'mask', onlyIfStored: true };
}

/** Whether a text, or a part of it, stands for a secret: a mask, a reference or a sealed value. */
export function standsForSecret(text: string): boolean {
  return isStandIn(text) || isForeignMask(text) || masksSecret(text);
}

/** Whether a key contains a secret itself, such as a URL with a password. We can neither replace it nor publish it. */
export function isSecretKeyText(key: string): boolean {
  return (key.includes('://') || key.includes('@') || key.includes('=')) && holdsSecret(key);
}
