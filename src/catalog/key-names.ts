/**
 * Whether a key says that its value is a secret. The last words of a key are its noun (`clientSecret` is a secret,
 * `secretArn` is an ARN), so the rule looks at the end: a word or a pair of words that names a secret, with nothing
 * behind it but words that say how the secret is written down (`privateKeyValue`).
 */

/**
 * - `password`: the value is a secret whatever its type (a number under `password` is a password)
 * - `secret`: a string is a secret; a number is not (`maxTokens`, `tokens: 4096`)
 */
export type KeyMeaning = 'plain' | 'secret' | 'password';

/** Only the end of a key is looked at: no honest key is longer, and the cost per key has a bound. */
const LONGEST_KEY_END = 200;
const CACHE_ENTRIES = 8192;
const LONGEST_CACHED_KEY = 64;

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

const PASSWORD_WORDS = words(
  'password passwords passwd passphrase passphrases passcode pass pwd pw pin passwort kennwort contraseña senha',
);
const SECRET_WORDS = words(
  'secret secrets token tokens jwt jwts credential credentials creds cred bearer cookie cookies pat authorization ' +
    'apikey apikeys privatekey secretkey accesskey sslkey encryptionkey',
);
/** Endings of words written together in lower case, as Java properties and environment variables have them. */
const JOINED_PASSWORD = /(?:password|passwd|passphrase)s?$/;
const JOINED_SECRET =
  /(?:api|secret|private|access|encryption|signing)keys?$|(?:client|app|api|shared)secrets?$|(?:access|auth|api|bearer|refresh|session|security|bot|user|id|jwt)tokens?$/;

/** What stands before `key` in the name of a secret key. Not here: public, primary, foreign, partition, consumer, user. */
const SECRET_KEYS = words(
  'api private secret access account ssl tls encryption decryption signing master shared session hmac ssh rsa dsa ' +
    'ecdsa aes pem auth app application subscription storage service security client integration license licence ' +
    'function functions webhook admin root cipher symmetric ingestion write read',
);
const OTHER_PAIRS = words(
  'jaas/config user/info auth/string access/signature basic/auth recovery/code recovery/codes',
);
/** How a secret is written down, or which of several it is. */
const FORM_WORDS = words(
  'value values text string plain plaintext raw data encoded encrypted base64 b64 pem hash current previous new old ' +
    'primary secondary backup default',
);
/** Words that turn a word of the lists above into something else. */
const COUNTED_TOKENS = words(
  'max min maximum minimum num number count total limit stop special page next continuation sync pad eos bos prompt ' +
    'completion output input',
);
const EXCEPTIONS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['token', COUNTED_TOKENS],
  ['tokens', COUNTED_TOKENS],
  // Looker's gitCredentials is a choice (none, local path, or an object that holds its own token).
  ['credentials', words('git')],
  ['pass', words('by multi single two first second')],
]);

const cache = new Map<string, KeyMeaning>();

/** What a key says of its value. Costs one map look-up for a key seen before. */
export function meaningOfKey(key: string): KeyMeaning {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const meaning = meaningOfName(key);
  if (key.length <= LONGEST_CACHED_KEY) {
    if (cache.size >= CACHE_ENTRIES) cache.clear();
    cache.set(key, meaning);
  }
  return meaning;
}

/** The same for a name cut out of a text: kept in no cache, as a piece of a value may hang on to it. */
export function meaningOfName(name: string): KeyMeaning {
  return classify(wordsOfKey(name));
}

/** `JWTToken` → jwt token; `X-Api-Key` → x api key; `sasl.jaas.config` → sasl jaas config; `password2` → password. */
function wordsOfKey(key: string): string[] {
  const found = key
    .slice(-LONGEST_KEY_END)
    .normalize('NFKC')
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
  while (found.length > 1 && isForm(found[found.length - 1] ?? '')) found.pop();
  const last = found.pop();
  if (last !== undefined) found.push(last.replace(/(?<=\p{L})\d+$/u, ''));
  return found;
}

const isForm = (word: string): boolean => FORM_WORDS.has(word) || /^\d+$/.test(word);

function classify(found: readonly string[]): KeyMeaning {
  const last = found[found.length - 1] ?? '';
  const before = found[found.length - 2] ?? '';
  if (EXCEPTIONS.get(last)?.has(before) === true) return 'plain';
  if (PASSWORD_WORDS.has(last) || JOINED_PASSWORD.test(last)) return 'password';
  if (SECRET_WORDS.has(last) || JOINED_SECRET.test(last)) return 'secret';
  if ((last === 'key' || last === 'keys') && SECRET_KEYS.has(before)) return 'secret';
  if (OTHER_PAIRS.has(`${before}/${last}`)) return 'secret';
  return 'plain';
}
