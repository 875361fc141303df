import { withValues } from '../catalog/json-path.js';
import { EventError } from '../errors.js';
import { MASK, type Json, type JsonObject } from '../terms.js';
import { leavesOf, pathOfStep, pointerOfStep, type Step } from './entity.js';
import { CONFIGURATION } from './notes.js';
import type { PreparedField } from './prepare.js';

type QuoteRule = 'mask' | 'refuse' | 'report';

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

/** From `start` to before `end`. */
interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** Characters of all texts looked for, together: what the tables may grow to. */
const MOST_CHARACTERS = 200_000;
const LONGEST = 1_024;
const CODES = 65_536;

/**
 * Looks for many texts at once (Aho and Corasick's automaton): linear in what is searched and in what is looked for, however
 * alike those are. Of a text that is too long only the beginning is looked for; what follows it counts as found then.
 */
export class TextSearch {
  readonly #next = new Map<number, number>();
  /** By state: where to go on when nothing follows. */
  readonly #fallback: Int32Array;
  /** By state: how many characters of a text end here, 0: none. */
  readonly #found: Int32Array;
  readonly #isCut: Uint8Array;

  constructor(texts: readonly string[]) {
    const longest = Math.max(
      SHORTEST,
      Math.min(LONGEST, Math.floor(MOST_CHARACTERS / Math.max(1, texts.length))),
    );
    const parents = [0];
    const codes = [0];
    const ends: [number, number, boolean][] = [];
    const depths: number[][] = [];
    for (const text of texts) {
      let state = 0;
      const length = Math.min(text.length, longest);
      for (let at = 0; at < length; at += 1) {
        const code = text.charCodeAt(at);
        let next = this.#next.get(state * CODES + code);
        if (next === undefined) {
          next = parents.length;
          this.#next.set(state * CODES + code, next);
          parents.push(state);
          codes.push(code);
          (depths[at] ??= []).push(next);
        }
        state = next;
      }
      ends.push([state, length, length < text.length]);
    }
    this.#fallback = new Int32Array(parents.length);
    this.#found = new Int32Array(parents.length);
    this.#isCut = new Uint8Array(parents.length);
    for (const [state, length, isCut] of ends) {
      this.#found[state] = length;
      if (isCut) this.#isCut[state] = 1;
    }
    for (const states of depths)
      for (const state of states) this.#link(state, parents[state] ?? 0, codes[state] ?? 0);
  }

  /** Where any of them stands, in order, what overlaps or touches taken together. */
  find(text: string): TextRange[] {
    const ranges: { start: number; end: number }[] = [];
    let state = 0;
    for (let at = 0; at < text.length; at += 1) {
      state = this.#step(state, text.charCodeAt(at));
      const length = this.#found[state] ?? 0;
      if (length === 0) continue;
      const isCut = this.#isCut[state] === 1;
      add(ranges, { start: at + 1 - length, end: isCut ? text.length : at + 1 });
      if (isCut) break;
    }
    return ranges;
  }

  /** After its parent, which is shorter: all that is shorter has its links. */
  #link(state: number, parent: number, code: number): void {
    const fallback = parent === 0 ? 0 : this.#step(this.#fallback[parent] ?? 0, code);
    this.#fallback[state] = fallback;
    if (this.#found[state] === 0) {
      this.#found[state] = this.#found[fallback] ?? 0;
      this.#isCut[state] = this.#isCut[fallback] ?? 0;
    }
  }

  #step(from: number, code: number): number {
    for (let state = from; ; state = this.#fallback[state] ?? 0) {
      const next = this.#next.get(state * CODES + code);
      if (next !== undefined) return next;
      if (state === 0) return 0;
    }
  }
}

function add(ranges: { start: number; end: number }[], range: TextRange): void {
  let { start } = range;
  for (let last = ranges.at(-1); last !== undefined && last.end >= start; last = ranges.at(-1)) {
    start = Math.min(start, last.start);
    ranges.pop();
  }
  ranges.push({ start, end: range.end });
}
