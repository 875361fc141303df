import { withValues } from '../catalog/json-access.js';
import { EventError } from '../errors.js';
import { MASK, type Json, type JsonObject } from '../terms.js';
import { leavesOf, pathOfStep, pointerOfStep, type Step } from './differences.js';
import { CONFIGURATION } from './new-endpoint.js';
import type { PreparedField } from './prepare.js';
import { TextSearch } from './text-search.js';

export type QuoteRule = 'mask' | 'refuse' | 'report';

/** Places of an entity that quote a secret of its own event. */
export interface Quotes {
  /** With the mask in place of what was quoted, where it is to be. */
  readonly entity: JsonObject;
  readonly masked: readonly string[];
  /** In the configuration, in names and ids, and with `report`: as it came. */
  readonly left: readonly string[];
  /** Whether a key quotes a secret: such a key must not be shown. */
  readonly hides: (key: string) => boolean;
  /** The same for another state of the entity. */
  in(entity: JsonObject): Quotes;
}

const SHORTEST = 8;
/** Members that name something: others look it up by them. */
const NAMES: ReadonlySet<string | number> = new Set(
  'name fullyQualifiedName id href type serviceType entityType tagFQN fqn updatedBy createdBy userName'.split(
    ' ',
  ),
);

/**
 * What quotes the values that an event sets, 8 characters or longer, outside of their fields; null where it sets none.
 *
 * @throws EventError SECRET_QUOTED
 */
export function quotesOf(
  entity: JsonObject,
  fields: readonly PreparedField[],
  rule: QuoteRule,
): Quotes | null {
  const texts = fields.flatMap(({ incoming, found }) =>
    incoming.kind === 'text' ? [{ value: incoming.value.reveal(), path: found.path }] : [],
  );
  const spellings = new Set(texts.flatMap(({ value }) => spellingsOf(value)));
  if (spellings.size === 0) return null;
  // Their own fields are no quotations.
  const others = withValues(
    entity,
    texts.map(({ path }) => [path, MASK] as const),
  );
  return searched(others, new TextSearch([...spellings]), rule);
}

function searched(entity: JsonObject, search: TextSearch, rule: QuoteRule): Quotes {
  const masked: Step[] = [];
  const left: Step[] = [];
  const values: [(string | number)[], Json][] = [];
  for (const top of Object.keys(entity)) {
    const isConfiguration = CONFIGURATION.has(top);
    for (const { at, value } of leavesOf(entity[top] ?? null, { parent: null, segment: top })) {
      if (typeof value !== 'string') continue;
      const ranges = search.find(value);
      if (ranges.length === 0) continue;
      if (rule === 'report' || isConfiguration || NAMES.has(keyOf(at))) {
        left.push(at);
      } else {
        masked.push(at);
        values.push([pathOfStep(at), withMasks(value, ranges)]);
      }
    }
  }
  if (rule === 'refuse' && masked.length > 0) throw refusal(masked);
  return {
    entity: values.length === 0 ? entity : withValues(entity, values),
    masked: masked.map(pointerOfStep),
    left: left.map(pointerOfStep),
    hides: (key) => search.find(key).length > 0,
    in: (other) => searched(other, search, rule),
  };
}

const MOST_NAMED = 10;

function refusal(places: readonly Step[]): EventError {
  const named = places.slice(0, MOST_NAMED).map(pointerOfStep);
  const more = places.length - named.length;
  const rest = more === 0 ? '' : ` and ${more} more`;
  return new EventError(
    'SECRET_QUOTED',
    `${named.join(', ')}${rest}: quotes a secret of the same event`,
    named[0] ?? null,
  );
}

function keyOf(step: Step): string | number {
  let at: Step | null = step;
  while (at !== null && typeof at.segment === 'number') at = at.parent;
  return at?.segment ?? '';
}

function withMasks(text: string, ranges: readonly { start: number; end: number }[]): string {
  let from = 0;
  let masked = '';
  for (const { start, end } of ranges) {
    masked += text.slice(from, start) + MASK;
    from = end;
  }
  return masked + text.slice(from);
}

/** A value as it is, as it stands in JSON, in an address and in base64; of an address its password, too. */
function spellingsOf(value: string): string[] {
  return [value, ...passwordsIn(value)].flatMap((text) => {
    const escaped = JSON.stringify(text).slice(1, -1);
    const inBase64 = Buffer.from(text).toString('base64').replace(/=+$/, '');
    const all = text.length < SHORTEST ? [] : [text, escaped, percentEncoded(text), inBase64];
    return all.filter((spelling) => spelling.length >= SHORTEST);
  });
}

const LONGEST_ADDRESS = 4_096;

function passwordsIn(value: string): string[] {
  const at = value.indexOf('://');
  if (at === -1) return [];
  const rest = value.slice(at + 3, at + 3 + LONGEST_ADDRESS);
  const colon = rest.indexOf(':');
  const end = rest.lastIndexOf('@');
  if (colon === -1 || end <= colon) return [];
  const password = rest.slice(colon + 1, end);
  return [password, percentDecoded(password)];
}

function percentEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
