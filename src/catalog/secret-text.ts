import { FERNET_PREFIX, MASK } from '../terms.js';
import { meaningOfKey, meaningOfName } from './key-names.js';

/**
 * Whether a text is a secret by what it is, whatever its key: a URL, JDBC or connection string with a password in it,
 * a private key, a header value. Such a text is one secret as a whole. All rules run in linear time: the texts come
 * from events.
 */

/** How far a URL's user, password and host are followed: longer ones are looked at up to here. */
const LONGEST_AUTHORITY = 4096;

/** A text that stands in place of a secret: the mask, a reference or a sealed value. */
export function isStandIn(text: string): boolean {
  return text === MASK || REFERENCE.test(text) || isSealedText(text);
}

/** A text of the form that publishers seal to; whether a key opens it is another question. */
export function isSealedText(text: string): boolean {
  return text.startsWith(FERNET_PREFIX) && SEALED.test(text);
}
const REFERENCE = /^secrets?:[A-Za-z0-9/_+=.@-]+$/;
const SEALED = /^fernet:[A-Za-z0-9_-]+={0,2}$/;

/** A text that carries a secret in itself. */
export function holdsSecret(text: string): boolean {
  if (text.length < 5) return false;
  return (
    (text.includes('://') && hasUrlWithPassword(text)) ||
    (text.includes('@') && isAddressWithPassword(text)) ||
    (text.includes('=') && hasSecretPair(text)) ||
    (text.includes(':') && hasQuotedSecretPair(text)) ||
    text.includes('PRIVATE KEY-----') ||
    isHeaderCredential(text) ||
    JSON_WEB_TOKEN.test(text)
  );
}

/** A word of a command line whose next word is a secret: `--password`, `-api-key`. */
export function isSecretFlag(text: string): boolean {
  return /^--?[A-Za-z][\w.-]{1,60}$/.test(text) && meaningOfKey(text) !== 'plain';
}

const JSON_WEB_TOKEN = /^eyJ[\w-]{10,}\.[\w-]{2,}\.[\w-]{10,}$/;

/** Every `://` of the text: a password may stand in any of several addresses, or in the middle of a log line. */
function hasUrlWithPassword(text: string): boolean {
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
    const next = text.indexOf('://', at + 3);
    const end = Math.min(next === -1 ? text.length : next, at + 3 + LONGEST_AUTHORITY);
    if (hasUserInfo(text.slice(at + 3, end))) return true;
  }
  return false;
}

/**
 * `user:password@host…`. Passwords that were not percent-encoded are seen too: they may hold `/`, `?`, `#`, `@` and
 * spaces. What tells them from a host with a port is that a port is digits up to the end or the path.
 */
function hasUserInfo(rest: string): boolean {
  if (rest.startsWith('[')) return false; // an IPv6 host
  const password = /^[^\s:/?#,;]*:([^]*)@/.exec(rest)?.[1] ?? '';
  const beginsWithPort = /^\d{1,5}[\s/?#,;"')\]}&>]/.test(password);
  return !beginsWithPort && isReal(password);
}

/** `user:password@host:port` without a scheme, and Oracle's `jdbc:oracle:thin:user/password@host`. */
function isAddressWithPassword(text: string): boolean {
  if (/^jdbc:oracle:\w+:[^/@\s]+\/[^@\s]+@/.test(text)) return true;
  const match = /^([^\s:/@]+):([^\s@/]+)@[\w.-]+(?::\d+)?(?:[/?]\S*)?$/.exec(text);
  return (
    match !== null && !/^(?:mailto|sips?|xmpp|acct|urn|im)$/i.test(match[1] ?? '') && isReal(match[2] ?? '')
  );
}

/** The longest name that is looked at before `=`, and how much of a value is needed to tell it from a place-holder. */
const LONGEST_NAME = 100;
const VALUE_START = 12;
const MOST_JUDGED_NAMES = 256;
/** A cheap first look at a name before it is taken apart: texts of megabytes may hold a million `=`. */
const MAY_BE_SECRET =
  /pass|pwd|pw|pin|wort|senha|contras|secret|token|jwt|cred|bearer|cookie|pat|auth|key|jaas|info|sig|code/i;

/** `Password=x;`, `&sig=x`, `password = 'x'`, `Account Key="x"` (libpq, ADO, ODBC, JDBC, JAAS, query strings). */
function hasSecretPair(text: string): boolean {
  const judged = new Map<string, boolean>(); // lives as long as this call: a piece of a value may hang on to a name
  let previous = -1;
  for (let at = text.indexOf('='); at !== -1; at = text.indexOf('=', at + 1)) {
    const name = nameEndingAt(text.slice(Math.max(previous + 1, at - LONGEST_NAME), at));
    previous = at;
    if (name === '' || !MAY_BE_SECRET.test(name)) continue;
    const judgement = judged.get(name) ?? isSecretPairName(name);
    if (judged.size < MOST_JUDGED_NAMES) judged.set(name, judgement);
    if (judgement && isSecretValue(valueOf(text.slice(at + 1, at + 1 + VALUE_START)))) return true;
  }
  return false;
}

/** The run of words before `=`; ADO has names of several words, and the last ones decide. */
function nameEndingAt(before: string): string {
  let start = before.length;
  while (start > 0 && /[\w. -]/.test(before[start - 1] ?? '')) start -= 1;
  return before.slice(start).trim();
}

function valueOf(after: string): string {
  const match = /^\s{0,3}\\?(?:"([^"]*)|'([^']*)|([^\s"'&;,=<>][^\s"'&;,]*))/.exec(after);
  return match?.[1] ?? match?.[2] ?? match?.[3] ?? '';
}

/** `"password": "x"`: a JSON or Python text inside a string. */
function hasQuotedSecretPair(text: string): boolean {
  for (const match of text.matchAll(
    /["']([A-Za-z][\w.-]{0,60})\\?["']\s{0,3}:\s{0,3}\\?["']([^"'\\]{1,8})/g,
  )) {
    const name = match[1] ?? '';
    if (MAY_BE_SECRET.test(name) && isSecretPairName(name) && isSecretValue(match[2] ?? '')) return true;
  }
  return false;
}

const isSecretValue = (value: string): boolean => isReal(value) && !isSwitch(value);

/** Names that are secrets in query strings only: a signature opens what its address names. */
const isSecretPairName = (name: string): boolean =>
  meaningOfName(name) !== 'plain' || /^(?:sig|x-(?:amz|goog)-signature)$/i.test(name);

/** `Authorization`'s values, under whatever key they stand. */
function isHeaderCredential(text: string): boolean {
  const match = /^(bearer|basic|token|apikey|negotiate|digest)\s+(\S{8,})\s*$/i.exec(text.slice(0, 16_384));
  if (match === null) return false;
  const credential = match[2] ?? '';
  if (match[1]?.toLowerCase() === 'basic') return Buffer.from(credential, 'base64').includes(':');
  return /\d/.test(credential) || credential.length >= 24;
}

/** Strings that say yes or no under a secret's name (`usePassword: "true"`) keep nothing secret. */
export const isSwitch = (text: string): boolean => /^(?:true|false)$/i.test(text);

/** A place for a password is not one: `${PASSWORD}`, `{{ password }}`, `<password>`, `%(password)s`, `***`. */
function isReal(password: string): boolean {
  return (
    password !== '' && !/^(?:\*+$|\$\{|\$\w+$|\{\{|<[\w\s-]+>?|%\(|\[[\w\s-]+\]$|x{3,}$)/i.test(password)
  );
}
