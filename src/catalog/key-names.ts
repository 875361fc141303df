import type { JsonObject } from '../terms.js';

/**
 * Whether a key says that its value is a secret. The noun of a key is at its end: `clientSecret` is a secret, `secretArn`
 * is an ARN. So the rules look for a word or a pair of words there that names a secret. Only words that say how the secret
 * is written may follow (`privateKeyValue`).
 */

/**
 * - `password`: the value is a secret whatever its type, also a number
 * - `secret`: a string is a secret; a number, `true` or `no` is not (`tokens: 4096`, `accountKey: 7`, `usePassword: "true"`)
 */
export type KeyMeaning = 'plain' | 'secret' | 'password';

/** Only the end of a longer key is looked at, so that no key costs much. */
const LONGEST_KEY_END = 200;
const CACHE_ENTRIES = 8192;
const LONGEST_CACHED_KEY = 64;

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

const PASSWORD_WORDS = words(
  'password passwords passwd passphrase passphrases passcode pass pwd pw pin passwort kennwort contrasena senha ' +
    'passw passwrd pswd psw pword mdp motdepasse wachtwoord geheim parola haslo sifre losenord clave otp mnemonic ' +
    'пароль 密码 密碼 パスワード 비밀번호',
);
/** A plural may also be a count, so a number under it is not a secret. */
const SECRET_WORDS = words('secrets tokens jwts credentials creds cookies pats apikeys');
/** A singular is never a count, so a number under it is a secret. */
const ONE_SECRET = words(
  'secret token jwt credential cred bearer cookie pat authorization passkey apikey secretkey accesskey encryptionkey',
);
/** The ends of words written together: `dbpassword`, `bindpw`, `userPwd`; also of one word in two, as in `passWord`. */
const JOINED_PASSWORD = /(?:password|passwd|passphrase|passcode|passwort|kennwort|contrasena|pswd|pwd|pw)s?$/;
/** Words that end in `pass` and do not name a password. */
const OTHER_PASS =
  /(?:com|by|encom|tres|sur|over|under|out|high|low|band|multi|single|all|one|two|first|second)pass$/;
const JOINED_SECRET = /(?:secret|token|jwt|credential|cred|cookie)s?$/;

/** Words before `key` that make it a secret key. Not among them: public, primary, foreign, partition, consumer, user. */
const SECRET_KEYS = words(
  'api private priv secret access account ssl tls encryption decryption signing master shared session hmac ssh rsa dsa ' +
    'ecdsa aes pem auth app application subscription storage service security client integration license licence ' +
    'function functions webhook admin root cipher symmetric ingestion write read',
);
const JOINED_KEY = new RegExp(`(?:${[...SECRET_KEYS].join('|')})keys?$`);
const OTHER_PAIRS = words(
  'jaas/config user/info auth/string access/signature basic/auth recovery/code recovery/codes recovery/phrase seed/phrase ' +
    'connection/string connection/str conn/string conn/str connect/string account/json keyfile/json keyfile/dict key/json ' +
    'authorization/header key/material access/code',
);
const JOINED_PAIRS = words(
  'jaasconfig userinfo authstring connectionstring connstring connstr serviceaccountjson keyfilejson',
);
/** Words that say how a secret is written, or which of several it is. */
const FORM_WORDS = words(
  'value values text string plain plaintext raw data encoded encrypted base64 b64 pem hash current previous new old ' +
    'primary secondary backup default content contents body bytes hex der pkcs8 jwk json base',
);
/** Words before `token` that make it a count. */
const COUNTED_TOKENS = words(
  'max min maximum minimum num number count total limit stop special page next continuation sync pad eos bos prompt ' +
    'completion output input per used cached batch chunk unk sep cls',
);
const COUNTED = new RegExp(`^(?:${[...COUNTED_TOKENS].join('|')})tokens?$`);
const EXCEPTIONS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['token', COUNTED_TOKENS],
  ['tokens', COUNTED_TOKENS],
  // Looker's gitCredentials is a choice: none, a local path, or an object that contains a token.
  ['credentials', words('git')],
  ['pass', words('by multi single two first second all')],
]);
/** A key that begins so may be a yes-or-no question: `usePassword: "true"` is not a secret, `usePassword: "x"` is one. */
const QUESTIONS = words(
  'use uses used using is has have with without enable enabled disable disabled require requires required allow allows ' +
    'show hide save store remember need needs should can force check validate ask prompt no skip cache trust integrated',
);

/**
 * Names that none of these rules find. The account's name follows `fs.azure.account.key.`; Kinesis connectors call the
 * secret itself `aws.secret.key.id`; `NEO4J_AUTH` is `user/password`.
 */
const NAMED =
  /^(?:spark\.hadoop\.)?fs\.azure\.account\.key\.|(?:^|[._-])secret[._-]?key[._-]?id$|^neo4j[._-]?auth$/i;

const cache = new Map<string, KeyMeaning>();

/** What a key says of its value. Caches the answer. */
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

/** The same for a name cut out of a text. It is not cached, because a piece of a secret may be part of it. */
export function meaningOfName(name: string): KeyMeaning {
  if (NAMED.test(name)) return 'password';
  const found = wordsOf(name);
  const meaning = classify(found);
  return meaning === 'password' && QUESTIONS.has(found[0] ?? '') ? 'secret' : meaning;
}

/** `JWTToken` → jwt token; `X-Api-Key` → x api key; `sasl.jaas.config` → sasl jaas config; `Contraseña` → contrasena. */
function wordsOf(key: string): string[] {
  return key
    .slice(-LONGEST_KEY_END)
    .normalize('NFKD')
    .replace(/[\u0300-\u036f\p{Cf}]/gu, '')
    .normalize('NFKC')
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

const isForm = (word: string): boolean => FORM_WORDS.has(word) || /^\d+$/.test(word);

function classify(all: readonly string[]): KeyMeaning {
  const found = [...all];
  if (isPair(found)) return 'password';
  while (found.length > 1 && isForm(found[found.length - 1] ?? '')) {
    found.pop();
    // `keyFile` is a name, but `keyFileContent` is the secret itself.
    if (found.length > 1 && found[found.length - 1] === 'file') found.pop();
  }
  const last = (found.pop() ?? '').replace(/(?<=\p{L})\d+$/u, '');
  const before = found[found.length - 1] ?? '';
  if (EXCEPTIONS.get(last)?.has(before) === true || isNoSecret(last)) return 'plain';
  if (PASSWORD_WORDS.has(last) || JOINED_PASSWORD.test(last) || JOINED_PASSWORD.test(before + last))
    return 'password';
  if (last.endsWith('pass') || ONE_SECRET.has(last)) return 'password';
  if (SECRET_WORDS.has(last) || JOINED_SECRET.test(last)) return last.endsWith('s') ? 'secret' : 'password';
  if (JOINED_KEY.test(last) || ((last === 'key' || last === 'keys') && SECRET_KEYS.has(before)))
    return 'secret';
  return isPair([...found, last]) ? 'password' : 'plain';
}

const isPair = (found: readonly string[]): boolean =>
  OTHER_PAIRS.has(found.slice(-2).join('/')) || JOINED_PAIRS.has(found[found.length - 1] ?? '');

const isNoSecret = (word: string): boolean =>
  OTHER_PASS.test(word) || COUNTED.test(word) || word === 'gitcredentials';

/** Members, in lower case, that contain the value in a list of named values, or in a secret written as an object. */
const VALUE_MEMBERS = words(
  'value values text content data plaintext raw default defaultvalue stringvalue val v',
);
/** Members, in lower case, that name the value beside them: of headers, environment variables, properties, options. */
const LABEL_MEMBERS = words('name key header headername property parameter field label option k');
/** Members, in lower case, that say that the value beside them is a secret. */
const FLAG_MEMBERS = words('secret issecret sensitive issensitive');

/**
 * What a member's key says of its value. A key such as `value` says nothing by itself: then the key of the object that
 * contains it counts (`password: {value: …}`), or the label beside it (`{name: 'Authorization', value: …}`, in any case).
 */
export function meaningOfMember(owner: JsonObject, key: string, ownerMeaning: KeyMeaning): KeyMeaning {
  const meaning = meaningOfKey(key);
  if (meaning !== 'plain' || key.length > 12 || !VALUE_MEMBERS.has(key.toLowerCase())) return meaning;
  if (ownerMeaning !== 'plain') return ownerMeaning;
  return meaningOfLabels(owner);
}

function meaningOfLabels(owner: JsonObject): KeyMeaning {
  let meaning: KeyMeaning = 'plain';
  for (const key of Object.keys(owner)) {
    const value = owner[key];
    const name = key.length > 12 ? '' : key.toLowerCase();
    if (typeof value === 'string' && LABEL_MEMBERS.has(name)) {
      const labelled = meaningOfName(value);
      if (labelled !== 'plain' && meaning !== 'password') meaning = labelled;
    } else if (value === true && FLAG_MEMBERS.has(name) && meaning === 'plain') {
      meaning = 'secret';
    }
  }
  return meaning;
}

/**
 * Whether a string is not a secret although its key may have one: an answer such as `yes`, or the path of a file that
 * contains the secret (`GOOGLE_APPLICATION_CREDENTIALS`, `sslKey`). With the meaning `password` these are passwords, too.
 */
export function isAnswer(text: string, meaning: KeyMeaning): boolean {
  return meaning !== 'password' && (SWITCH.test(text) || KEY_FILE.test(text));
}
const SWITCH = /^(?:true|false|yes|no|on|off|[01])$/i;
/** A path from a root, a home folder or a variable to a file. Neither a key nor a token looks like that. */
const KEY_FILE =
  /^(?:file:|[a-z]:[\\/]|~?\/|\.{1,2}\/|\$\{?\w+\}?\/|<\w+>\/)[\w .\\/~$<>{}-]{0,500}\.(?:json|pem|key|p8|p12|pfx|jks|crt|cer|der|ppk)$/i;
