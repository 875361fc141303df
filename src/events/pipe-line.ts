import type { Json, JsonObject, SourceRecord } from '../terms.js';
import { EVENT_TYPES } from '../terms.js';
import { EventError } from '../errors.js';
import { isObject, MAX_NAME_CHARACTERS, member } from './fields.js';
import { DEFAULT_JSON_LIMITS, readJson, type JsonReading, type JsonScan } from './json.js';
import { eventTypeOfCloudEvent, topicOfEventType, type SourceTopics } from './decode.js';

/** The topic of a line that does not say what happened. `decodeRecord` refuses it. */
const UNKNOWN_PIPE_TOPIC = 'pipe';

/** Wider than the limits of an event, because a record may be around it. `decodeRecord` applies the event's own limits. */
const LINE_LIMITS = {
  maxBytes: Infinity,
  maxDepth: DEFAULT_JSON_LIMITS.maxDepth + 1,
  maxValues: 2 * DEFAULT_JSON_LIMITS.maxValues,
};

/**
 * One line of `pipe` as a source record, with partition 0 and the line number as its offset. A line is a bare change
 * event, a CloudEvent, or a record `{"topic", "key"?, "headers"?, "value"}` whose other members are ignored. The bytes of
 * an event are passed on as they are written. Null for a blank line, which has an offset, too.
 *
 * Never throws: a malformed line becomes a record that `decodeRecord` refuses, so it becomes a dead letter.
 *
 * @param line without its line break; as bytes, so that a line that is not UTF-8 is noticed
 * @param lineNumber from 0
 * @param readAtMs the record's own time, milliseconds since the epoch; used only for an event without a time
 */
export function parsePipeLine(
  line: Buffer | string,
  lineNumber: number,
  topics: SourceTopics,
  readAtMs: number,
): SourceRecord | null {
  const bytes = typeof line === 'string' ? Buffer.from(line, 'utf8') : line;
  if (isBlank(bytes)) return null;
  const place = { partition: 0, offset: lineNumber, timestampMs: readAtMs };
  const reading = readLine(bytes);
  const record = reading && recordOf(reading);
  return {
    ...place,
    ...(record ?? { topic: topicOf(reading?.value, topics), key: null, value: bytes, headers: {} }),
  };
}

/** The record of a line over the limit, whose text is not kept in memory. `decodeRecord` refuses it. */
export function longPipeLine(
  line: { readonly size: number; readonly digest: string },
  lineNumber: number,
  readAtMs: number,
): SourceRecord {
  return {
    topic: UNKNOWN_PIPE_TOPIC,
    partition: 0,
    offset: lineNumber,
    timestampMs: readAtMs,
    key: null,
    value: null,
    headers: {},
    unread: { reason: 'record-bytes', size: line.size, firstOffset: lineNumber, digest: line.digest },
  };
}

function readLine(bytes: Buffer): JsonReading | null {
  try {
    return readJson(bytes, LINE_LIMITS);
  } catch (error) {
    if (error instanceof EventError) return null; // decodeRecord finds the same error and reports it
    throw error;
  }
}

type Content = Pick<SourceRecord, 'topic' | 'key' | 'value' | 'headers'>;

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a);
}

/** The line as a record; null if it is not a record, or a malformed one. */
function recordOf(line: JsonReading): Content | null {
  const { value: object } = line;
  if (!isObject(object) || isFlawedRecord(line.scan.flaw)) return null;
  const { topic } = object;
  if (!isTopic(topic) || !Object.hasOwn(object, 'value')) return null;
  const key = member(object, 'key');
  const headers = headersOf(member(object, 'headers'));
  const value = valueOf(object, line);
  if (headers === null || value === undefined || (key !== null && typeof key !== 'string')) return null;
  return { topic, key: key === null ? null : Buffer.from(key, 'utf8'), value, headers };
}

/** Whether a secured event could name this topic as its source. The names of Kafka topics always can. */
function isTopic(topic: Json | undefined): topic is string {
  return (
    typeof topic === 'string' && topic !== '' && topic.length <= MAX_NAME_CHARACTERS && !topic.includes('\0')
  );
}

/** A flaw of the record around an event makes the line malformed. `decodeRecord` reports a flaw within the event. */
function isFlawedRecord(flaw: JsonScan['flaw']): boolean {
  if (flaw === null || flaw.at.startsWith('/value/')) return false;
  return flaw.at !== '/value' || flaw.kind === 'duplicate';
}

/** Undefined if the value is a text that UTF-8 cannot write. */
function valueOf(object: JsonObject, line: JsonReading): Buffer | null | undefined {
  const { value } = object;
  if (value === null) return null;
  if (typeof value === 'string') return line.problem === null ? Buffer.from(value, 'utf8') : undefined;
  // The text itself, not parsed and written again: decodeRecord must see the numbers and keys as they were written.
  const span = line.scan.members.get('value');
  return span && Buffer.from(line.text.slice(...span).trim(), 'utf8');
}

function headersOf(value: ReturnType<typeof member>): Record<string, Buffer> | null {
  if (value === null) return {};
  if (!isObject(value)) return null;
  const headers: [string, Buffer][] = [];
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') return null;
    headers.push([name, Buffer.from(text, 'utf8')]);
  }
  return Object.fromEntries(headers);
}

function topicOf(object: Json | undefined, topics: SourceTopics): string {
  if (!isObject(object)) return UNKNOWN_PIPE_TOPIC;
  const data = member(object, 'data');
  const change = isObject(data) ? data : object;
  const eventType =
    EVENT_TYPES.find((type) => type === change['eventType']) ??
    (typeof object['type'] === 'string' ? eventTypeOfCloudEvent(object['type']) : null);
  return eventType === null ? UNKNOWN_PIPE_TOPIC : topicOfEventType(eventType, topics);
}
