import type { Json, JsonObject } from '../terms.js';
import { meaningOfKey, meaningOfName } from './key-names.js';
import type { KeyMeaning } from './key-names.js';

const lowered = (names: string): ReadonlySet<string> => new Set(names.split(' '));

/** Members, in lower case, in which a list of named values, or a secret written as an object, keeps the value itself. */
const VALUE_MEMBERS = lowered(
  'value values text content data plaintext raw default defaultvalue stringvalue val v',
);
/** Members that name what a value member holds: headers, environment variables, properties, options. */
const LABEL_MEMBERS = lowered('name key header headername property parameter field label option k');
/** Members by which such a list says of itself that the value is a secret. */
const FLAG_MEMBERS = lowered('secret issecret sensitive issensitive');

/**
 * What the key of a member says of it: by its own name, or, for `value` and its like, by the label beside it
 * (`{name: 'Authorization', value: …}`, in any case) or by the key of the object that holds it (`password: {value: …}`).
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
 * Strings that are no secret although their key may hold one: yes or no where it may ask for it, and the path of a file
 * that holds it (`GOOGLE_APPLICATION_CREDENTIALS`, `sslKey`). Under `password` they are passwords like any other.
 */
export function isAnswer(text: string, meaning: KeyMeaning): boolean {
  return meaning !== 'password' && (SWITCH.test(text) || KEY_FILE.test(text));
}
const SWITCH = /^(?:true|false|yes|no|on|off|[01])$/i;
/** From a root, a home or a variable to the name of a file: neither a key nor a token looks like that. */
const KEY_FILE =
  /^(?:file:|[a-z]:[\\/]|~?\/|\.{1,2}\/|\$\{?\w+\}?\/|<\w+>\/)[\w .\\/~$<>{}-]{0,500}\.(?:json|pem|key|p8|p12|pfx|jks|crt|cer|der|ppk)$/i;

/** The word for messages. */
export function typeOf(value: Json): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
