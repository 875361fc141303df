import type { Json, JsonObject, SourceRecord } from '../terms.js';
import { EVENT_TYPES } from '../terms.js';
import { EventError } from '../errors.js';
import { isObject, MAX_NAME_CHARACTERS, member } from './fields.js';
import { DEFAULT_JSON_LIMITS, readJson, type JsonReading, type JsonScan } from './json.js';
import { eventTypeOfCloudEvent, topicOfEventType, type SourceTopics } from './decode.js';

/** The topic of a line that does not tell what happened: decoding then refuses it, as it has to. */
export const UNKNOWN_PIPE_TOPIC = 'pipe';

/** Somewhat more than an event may have, for the record around it: the event's own limits are for decoding to hold. */
const LINE_LIMITS = {
  maxBytes: Infinity,
  maxDepth: DEFAULT_JSON_LIMITS.maxDepth + 1,
  maxValues: 2 * DEFAULT_JSON_LIMITS.maxValues,
};

/**
 * One line of `pipe` as a source record: partition 0, the line number as offset. A line is a bare change
 * event, a CloudEvent, or a record `{"topic", "key"?, "headers"?, "value"}`, other members of which are ignored. The
 * bytes of an event are passed on as they are written. Null for a blank line, which counts as an offset all the same.
 *
 * Never throws: a malformed line becomes a record that `decodeRecord` refuses, so that it ends as a dead letter.
 *
 * @param line without its line break; give bytes, so that a line that is not UTF-8 is noticed
 * @param lineNumber from 0
 * @param readAtMs the record's own time, milliseconds since the epoch: counts only for an event without any
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

/** What stands for a line over the limit, of which nothing is kept. Decoding refuses it. */
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
    if (error instanceof EventError) return null; // decoding finds the same and says so
    throw error;
  }
}

type Content = Pick<SourceRecord, 'topic' | 'key' | 'value' | 'headers'>;

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a);
}

/** The line as a record, or null where it is none or a malformed one. */
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

/** Whether a secured event can name it as its source: Kafka's own topics are shorter and plainer. */
function isTopic(topic: Json | undefined): topic is string {
  return (
    typeof topic === 'string' && topic !== '' && topic.length <= MAX_NAME_CHARACTERS && !topic.includes('\0')
  );
}

/** A flaw within the event is for decoding to name; one of the record around it makes the line malformed. */
function isFlawedRecord(flaw: JsonScan['flaw']): boolean {
  if (flaw === null || flaw.at.startsWith('/value/')) return false;
  return flaw.at !== '/value' || flaw.kind === 'duplicate';
}

/** Undefined where the value is a text that cannot be written in UTF-8. */
function valueOf(object: JsonObject, line: JsonReading): Buffer | null | undefined {
  const { value } = object;
  if (value === null) return null;
  if (typeof value === 'string') return line.problem === null ? Buffer.from(value, 'utf8') : undefined;
  // As it stands, not parsed and written again: decoding must see the numbers and keys that were written.
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
