import { Refusal, type Form } from '../setting/setting.js';

export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** AWS allows 50; three are ours. */
const MAX_TAGS = 47;
const MAX_KEY_LENGTH = 128;
const MAX_VALUE_LENGTH = 256;
const OUR_KEYS = ['managed-by', 'connection-id', 'installation'];
const CHARACTERS = /^[\p{L}\p{N}\p{Z}_.:/=+\-@]*$/u;

/** SECRET_MANAGER_TAGS in OpenMetadata's form `[key1:value1,key2:value2]`, without the brackets, or as a JSON array. */
export const tagList: Form<readonly Tag[]> = {
  form: '`[key:value,key:value]`, brackets optional, or a JSON array of such strings',
  parse: (given) => {
    const tags = itemsOf(given).map(parseTag);
    if (tags.length > MAX_TAGS) throw new Refusal(`may have at most ${MAX_TAGS} tags`);
    if (new Set(tags.map((tag) => tag.key)).size !== tags.length) throw new Refusal('names a key twice');
    return tags;
  },
};

function itemsOf(given: string): string[] {
  const json = jsonArray(given);
  if (json !== null) return json;
  const inner = /^\[(.*)\]$/s.exec(given)?.[1] ?? given;
  return inner.trim() === ''
    ? []
    : inner.split(',').map((item) => item.trim().replace(/^(["'])(.*)\1$/, '$2'));
}

function jsonArray(given: string): string[] | null {
  try {
    const parsed: unknown = JSON.parse(given);
    return Array.isArray(parsed) && parsed.every((item) => typeof item === 'string') ? parsed : null;
  } catch {
    return null;
  }
}

function parseTag(item: string, index: number): Tag {
  const colon = item.indexOf(':');
  const key = item.slice(0, Math.max(colon, 0)).trim();
  const value = item.slice(colon + 1).trim();
  const refuse = (what: string): never => {
    throw new Refusal(`tag ${index + 1} ${what}`);
  };
  if (key === '') refuse('must be written key:value');
  if (key.length > MAX_KEY_LENGTH) refuse(`has a key of more than ${MAX_KEY_LENGTH} characters`);
  if (value.length > MAX_VALUE_LENGTH) refuse(`has a value of more than ${MAX_VALUE_LENGTH} characters`);
  if (!CHARACTERS.test(item)) refuse('may only contain letters, digits, spaces and _ . : / = + - @');
  if (OUR_KEYS.includes(key)) refuse(`must not be one of ${OUR_KEYS.join(', ')}: those mark what is ours`);
  return { key, value };
}
