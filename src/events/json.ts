import { isUtf8 } from 'node:buffer';
import { formatPointer } from '../catalog/json-path.js';
import { EventError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Json } from '../terms.js';

export interface JsonLimits extends ScanLimits {
  readonly maxBytes: number;
}

export const DEFAULT_JSON_LIMITS: JsonLimits = {
  maxDepth: LIMITS.jsonDepth,
  maxValues: LIMITS.jsonValues,
  maxBytes: LIMITS.recordBytes,
};

/** A JSON text that was read even if something in it is refused, so that the dead letter can name the connection. */
export interface JsonReading {
  readonly value: Json;
  /** Why the text is refused; null if it is not. */
  readonly problem: EventError | null;
  /** A key comes twice. Nobody knows which of the two values is meant, so nothing of the text can be trusted. */
  readonly ambiguous: boolean;
  /** The text without byte order mark. The positions in `scan` belong to it. */
  readonly text: string;
  readonly scan: JsonScan;
}

/**
 * Parses one JSON text strictly: I-JSON (RFC 7493), the interoperable part of RFC 8259. Skips a leading byte order mark.
 * Every key, `__proto__` and `constructor` included, becomes an ordinary own property.
 *
 * @param at JSON Pointer of the text's place, for messages
 * @throws EventError `EVENT_NOT_DECODABLE`: not UTF-8, not JSON; `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP`; `NUMBER_NOT_EXACT`: a
 *   number that a double cannot hold without losing digits; `EVENT_INVALID`: duplicate key, lone surrogate. Messages
 *   name the place, never a value.
 */
export function parseJson(input: Buffer | string, limits: JsonLimits = DEFAULT_JSON_LIMITS, at = ''): Json {
  const reading = readJson(input, limits, at);
  if (reading.problem !== null) throw reading.problem;
  return reading.value;
}

/**
 * As `parseJson`, but a text that is JSON and only breaks one of the stricter rules comes back together with the refusal.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP`
 */
export function readJson(
  input: Buffer | string,
  limits: JsonLimits = DEFAULT_JSON_LIMITS,
  at = '',
): JsonReading {
  const text = jsonText(input, limits, at);
  const scan = new Scanner(text, limits).run();
  if (scan.exceeds === 'values') {
    const message = `${where(at)} has more than ${String(limits.maxValues)} values`;
    throw new EventError('EVENT_TOO_LARGE', message, at || null);
  }
  if (scan.exceeds === 'depth') {
    const message = `${where(at)} is nested deeper than ${String(limits.maxDepth)} levels`;
    throw new EventError('EVENT_TOO_DEEP', message, at || null);
  }
  const value = parseNative(text, at);
  if (scan.flaw === null) return { value, problem: null, ambiguous: false, text, scan };
  const { kind } = scan.flaw;
  return { value, problem: refusal(kind, at + scan.flaw.at), ambiguous: kind === 'duplicate', text, scan };
}

/** The text of an input: checked UTF-8, within the size limit, without byte order mark. */
function jsonText(input: Buffer | string, limits: JsonLimits, at = ''): string {
  const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.length;
  if (bytes > limits.maxBytes) {
    const message = `${where(at)} has ${String(bytes)} bytes, more than ${String(limits.maxBytes)}`;
    throw new EventError('EVENT_TOO_LARGE', message, at || null);
  }
  if (typeof input !== 'string' && !isUtf8(input)) throw notDecodable(`${where(at)} is not UTF-8`, at);
  const text = typeof input === 'string' ? input : input.toString('utf8');
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

const BYTE_ORDER_MARK = 0xfeff;

function parseNative(text: string, at: string): Json {
  try {
    // JSON.parse defines own properties (never through setters), so `__proto__` is a name like any other.
    return JSON.parse(text) as Json;
  } catch {
    // The parser's message quotes the text, so we do not pass it on, not even as a cause.
    throw notDecodable(`${where(at)} is not JSON`, at);
  }
}

function refusal(kind: JsonFlaw, at: string): EventError {
  switch (kind) {
    case 'number':
      return new EventError('NUMBER_NOT_EXACT', `the number at ${where(at)} loses digits in a double`, at);
    case 'duplicate':
      return new EventError('EVENT_INVALID', `the key ${where(at)} comes twice in one object`, at);
    case 'surrogate':
      return new EventError('EVENT_INVALID', `${where(at)} has half of a surrogate pair`, at);
  }
}

function notDecodable(message: string, at: string): EventError {
  return new EventError('EVENT_NOT_DECODABLE', message, at || null);
}

function where(at: string): string {
  return at === '' ? 'the value' : at;
}

/** What JSON allows and we refuse. */
type JsonFlaw = 'number' | 'duplicate' | 'surrogate';

export interface JsonScan {
  /** The limit that the text is over. The scan stopped there. */
  readonly exceeds: 'depth' | 'values' | null;
  /** The first flaw, with the JSON Pointer of its place. */
  readonly flaw: { readonly kind: JsonFlaw; readonly at: string } | null;
  /** If the text is an object: start and end (exclusive) of each member's value, with the white space around it. */
  readonly members: ReadonlyMap<string, readonly [start: number, end: number]>;
}

interface ScanLimits {
  /** Levels of objects and arrays. */
  readonly maxDepth: number;
  /** Objects, arrays, texts, numbers and words together. Each costs memory, however short its text is. */
  readonly maxValues: number;
}

interface Frame {
  /** Null for an array. */
  readonly keys: Set<string> | null;
  expectsKey: boolean;
  /** The member that is being read; in an array its index. */
  place: string | number;
}

/**
 * One linear pass over a JSON text, without recursion, for what `JSON.parse` does not tell: depth, number of values,
 * numbers that lose digits, duplicate keys, lone surrogates. It is no validator: if the text is not JSON, only `exceeds`
 * means anything. So parse the text before you trust the rest.
 */
class Scanner {
  readonly #text: string;
  readonly #limits: ScanLimits;
  readonly #frames: Frame[] = [];
  readonly #members = new Map<string, readonly [number, number]>();
  #flaw: JsonScan['flaw'] = null;
  #valueStart = 0;
  #values = 1;

  constructor(text: string, limits: ScanLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  run(): JsonScan {
    const text = this.#text;
    let index = 0;
    while (index < text.length) {
      const code = text.charCodeAt(index);
      if (code === QUOTE) {
        index = this.#string(index);
        continue;
      }
      if (code === MINUS || (code >= ZERO && code <= NINE)) {
        index = this.#number(index);
        continue;
      }
      if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
        if (this.#frames.length >= this.#limits.maxDepth) return this.#result('depth');
        this.#open(code === OPEN_OBJECT);
        this.#values += 1;
      } else if (code === COMMA || code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
        this.#endOfValue(index, code === COMMA);
        if (code === COMMA) this.#values += 1;
      } else if (code === COLON && this.#frames.length === 1) {
        this.#valueStart = index + 1;
      }
      // Each opening bracket and each comma begins a value. Empty objects and arrays count twice, which does no harm.
      if (this.#values > this.#limits.maxValues) return this.#result('values');
      index += 1;
    }
    return this.#result(null);
  }

  #result(exceeds: JsonScan['exceeds']): JsonScan {
    return { exceeds, flaw: this.#flaw, members: this.#members };
  }

  #open(object: boolean): void {
    this.#frames.push({
      keys: object ? new Set() : null,
      expectsKey: object,
      place: object ? '' : 0,
    });
  }

  #endOfValue(index: number, more: boolean): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return;
    if (this.#frames.length === 1 && typeof frame.place === 'string' && !frame.expectsKey) {
      this.#members.set(frame.place, [this.#valueStart, index]);
    }
    if (!more) this.#frames.pop();
    else if (typeof frame.place === 'number') frame.place += 1;
    else frame.expectsKey = true;
  }

  #string(start: number): number {
    const end = endOfString(this.#text, start);
    const raw = this.#text.slice(start + 1, end);
    const frame = this.#frames.at(-1);
    if (frame?.expectsKey === true && frame.keys !== null) this.#key(frame, frame.keys, raw);
    else if (hasLoneSurrogate(raw)) this.#report('surrogate', this.#place());
    return end + 1;
  }

  #key(frame: Frame, keys: Set<string>, raw: string): void {
    frame.expectsKey = false;
    if (hasLoneSurrogate(raw)) {
      frame.place = '';
      // Nobody can write the key down, so the error names the object that has it.
      this.#report('surrogate', this.#place(this.#frames.length - 1));
      return;
    }
    const key = unescape(raw);
    frame.place = key;
    if (keys.has(key)) this.#report('duplicate', this.#place());
    else keys.add(key);
  }

  #number(start: number): number {
    const text = this.#text;
    let end = start + 1;
    while (end < text.length && isNumberCode(text.charCodeAt(end))) end += 1;
    if (!isExactNumber(text.slice(start, end))) this.#report('number', this.#place());
    return end;
  }

  #report(kind: JsonFlaw, at: string): void {
    this.#flaw ??= { kind, at };
  }

  #place(levels: number = this.#frames.length): string {
    return this.#flaw === null
      ? pointer('', ...this.#frames.slice(0, levels).map((frame) => frame.place))
      : '';
  }
}

/**
 * Whether a JSON number stays the same if it is read as a double and written again: the same significant digits, no
 * overflow, no underflow. `0.1`, `1.0` and `1e2` do; `9007199254740993` and `1e400` do not.
 */
export function isExactNumber(text: string): boolean {
  // Fifteen significant digits always survive (IEEE 754 binary64, DBL_DIG). That settles nearly every number.
  if (text.length <= 15 && !text.includes('e') && !text.includes('E')) return true;
  const value = Number(text);
  return Number.isFinite(value) && significantDigits(text) === significantDigits(String(value));
}

function significantDigits(text: string): string {
  const exponent = text.search(/[eE]/);
  const digits = (exponent < 0 ? text : text.slice(0, exponent)).replace('-', '').replace('.', '');
  // Loops, because /0+$/ takes quadratic time for a long row of zeros before another digit.
  let start = 0;
  let end = digits.length;
  while (start < end && digits.charCodeAt(start) === ZERO) start += 1;
  while (end > start && digits.charCodeAt(end - 1) === ZERO) end -= 1;
  return digits.slice(start, end);
}

function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}

/** The text was valid UTF-8, so a lone surrogate can only come from an escape. */
function hasLoneSurrogate(raw: string): boolean {
  return /\\u[dD][89a-fA-F]/.test(raw) && /[\uD800-\uDFFF]/u.test(unescape(raw));
}

function unescape(raw: string): string {
  if (!raw.includes('\\')) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw; // not JSON: the parser refuses the whole text
  }
}

function isNumberCode(code: number): boolean {
  return (
    (code >= ZERO && code <= NINE) ||
    code === DOT ||
    code === PLUS ||
    code === MINUS ||
    code === UPPER_E ||
    code === LOWER_E
  );
}

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const UPPER_E = 0x45;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LOWER_E = 0x65;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Reads the JSON texts of one record. Remembers the first refusal, so that the ids can be read before it is thrown. */
export class Reading {
  #problem: EventError | null = null;
  #ambiguous = false;

  constructor(readonly limits: JsonLimits = DEFAULT_JSON_LIMITS) {}

  /** @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP` */
  json(input: Buffer | string, at: string): Json {
    const reading = readJson(input, this.limits, at);
    this.#problem ??= reading.problem;
    this.#ambiguous ||= reading.ambiguous;
    return reading.value;
  }

  get problem(): EventError | null {
    return this.#problem;
  }

  /** A key came twice, so ids read from this record may be the wrong ones. */
  get ambiguous(): boolean {
    return this.#ambiguous;
  }
}

/** The longest pointer in an error: keys come from outside and may be megabytes long. */
const MAX_POINTER_CHARACTERS = 300;

/**
 * JSON Pointer (RFC 6901) of a place, for error messages. Cuts out the middle of a very long one, and replaces characters
 * that would break a line of a log.
 */
export function pointer(base: string, ...segments: readonly (string | number)[]): string {
  const text = base + formatPointer(segments);
  const printable = text.length > 4 * MAX_POINTER_CHARACTERS ? shorten(text) : text;
  // eslint-disable-next-line no-control-regex -- control characters are exactly what must not reach a log line
  return shorten(printable.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?'));
}

function shorten(text: string): string {
  if (text.length <= MAX_POINTER_CHARACTERS) return text;
  const half = Math.floor(MAX_POINTER_CHARACTERS / 2) - 1;
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
