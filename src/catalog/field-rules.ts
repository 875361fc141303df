import type { Json, JsonObject } from '../terms.js';
import { meaningOfKey, meaningOfName } from './key-names.js';
import type { KeyMeaning } from './key-names.js';
import { holdsSecret, isStandIn, isSwitch } from './secret-text.js';

/** Members in which a list of named values, or a secret written as an object, keeps the value itself. */
const VALUE_MEMBERS: ReadonlySet<string> = new Set(
  'value values text content data plaintext plainText raw default defaultValue'.split(' '),
);
/** Members that name what a value member holds: headers, environment variables, properties. */
const LABEL_MEMBERS = ['name', 'key', 'header', 'headerName', 'property', 'parameter', 'field'] as const;
/** Members by which such a list says of itself that the value is a secret. */
const FLAG_MEMBERS = ['secret', 'isSecret', 'sensitive', 'isSensitive'] as const;

/**
 * What the key of a member says of it: by its own name, or, for `value` and its like, by the label beside it
 * (`{name: 'Authorization', value: …}`) or by the key of the object that holds it (`password: {value: …}`).
 */
export function meaningOfMember(owner: JsonObject, key: string, ownerMeaning: KeyMeaning): KeyMeaning {
  const meaning = meaningOfKey(key);
  if (meaning !== 'plain' || !VALUE_MEMBERS.has(key)) return meaning;
  if (ownerMeaning !== 'plain') return ownerMeaning;
  for (const label of LABEL_MEMBERS) {
    const text = Object.hasOwn(owner, label) ? owner[label] : undefined;
    const labelled = typeof text === 'string' ? meaningOfName(text) : 'plain';
    if (labelled !== 'plain') return labelled;
  }
  return FLAG_MEMBERS.some((flag) => Object.hasOwn(owner, flag) && owner[flag] === true) ? 'secret' : 'plain';
}

/** Why a string that no schema declares is a secret; null where it is plain. The empty string is none by its text. */
export function reasonFor(text: string, meaning: KeyMeaning): 'name' | 'url' | 'reference' | null {
  if (meaning !== 'plain' && !isSwitch(text)) return 'name';
  if (isStandIn(text)) return 'reference';
  return holdsSecret(text) ? 'url' : null;
}

/** A key that is a secret itself, such as a URL with a password: it can be neither replaced nor left. */
export function isSecretKeyText(key: string): boolean {
  return (key.includes('://') || key.includes('@') || key.includes('=')) && holdsSecret(key);
}

/** The word for messages. */
export function typeOf(value: Json): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
