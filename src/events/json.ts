import { isUtf8 } from 'node:buffer';
import { EventError } from '../errors.js';
import type { Json } from '../terms.js';
import { LIMITS } from '../limits.js';
import { scanJson } from './json-scan.js';
import type { JsonFlaw, JsonScan, ScanLimits } from './json-scan.js';

export interface JsonLimits extends ScanLimits {
  readonly maxBytes: number;
}

export const DEFAULT_JSON_LIMITS: JsonLimits = {
  maxDepth: LIMITS.jsonDepth,
  maxValues: LIMITS.jsonValues,
  maxBytes: LIMITS.recordBytes,
};

/** A JSON text that was read although something in it is refused: enough to say whose event it is. */
export interface JsonReading {
  readonly value: Json;
  /** Why the text is refused; null where nothing is. */
  readonly problem: EventError | null;
  /** A key comes twice: which of the two values is meant is unknown, so nothing read from it can be trusted. */
  readonly ambiguous: boolean;
  /** The text without byte order mark, to which the positions in `scan` belong. */
  readonly text: string;
  readonly scan: JsonScan;
}

/**
 * Parses one JSON text strictly (RFC 8259, the interoperable part of it, I-JSON of RFC 7493). A leading byte order mark
 * is skipped. Every key, `__proto__` and `constructor` included, becomes an ordinary own property.
 *
 * @param at JSON Pointer of where the text stands, for messages
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
 * As `parseJson`, but a text that is JSON and only breaks a stricter rule is returned together with the refusal.
 *
 * @throws EventError `EVENT_NOT_DECODABLE`, `EVENT_TOO_LARGE`, `EVENT_TOO_DEEP`
 */
export function readJson(
  input: Buffer | string,
  limits: JsonLimits = DEFAULT_JSON_LIMITS,
  at = '',
): JsonReading {
  const text = jsonText(input, limits, at);
  const scan = scanJson(text, limits);
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
    // The parser's message quotes the text, so it is not passed on, not even as a cause.
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
