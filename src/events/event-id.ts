import { sha256Hex } from '../hash.js';
import type { JsonObject, SourceRecord } from '../terms.js';
import type { CloudEventContext } from './cloud-event.js';
import { MAX_ID_CHARACTERS, optionalText } from './fields.js';

/**
 * The event id: the change event's own; else the CloudEvent's, which is unique only together with its source; else the
 * record's place and the event's time. (The time, because a topic that is deleted and created again starts again at the
 * same place: those must not pass for redeliveries.) A line of a pipe has its content in place of a place.
 *
 * @throws EventError `EVENT_INVALID`: an `id` that is no text of 1 to 255 characters
 */
export function eventIdOf(
  change: JsonObject,
  base: string,
  context: CloudEventContext | null,
  record: SourceRecord,
  timestampMs: number,
): string {
  const own = optionalText(change, 'id', base, MAX_ID_CHARACTERS);
  return own ?? cloudEventId(context) ?? `${placeOf(record, timestampMs)}@${String(timestampMs)}`;
}

/** Of a line without a time of its own the number as well: the same again, further down, is another change. */
function placeOf({ topic, partition, offset, digest, timestampMs }: SourceRecord, eventMs: number): string {
  if (digest === undefined) return `${topic}/${String(partition)}/${String(offset)}`;
  return eventMs === timestampMs ? `line/${digest}/${String(offset)}` : `line/${digest}`;
}

/** The id a record carries, without checks that throw; null where it carries none that would be accepted. */
export function peekEventId(change: JsonObject, context: CloudEventContext | null): string | null {
  try {
    return optionalText(change, 'id', '', MAX_ID_CHARACTERS) ?? cloudEventId(context);
  } catch {
    return null;
  }
}

function cloudEventId(context: CloudEventContext | null): string | null {
  if (context?.id == null) return null;
  const id = `${context.source ?? ''}#${context.id}`;
  return id.length <= MAX_ID_CHARACTERS && !id.includes('\0') ? id : `cloudevent:${sha256Hex(id)}`;
}

/**
 * What the inbox knows an event by: SHA-256 (64 hexadecimal digits) of `<connectionId>\n<eventId>`. Of fixed length and
 * ASCII, so it can be a key in every database; of both ids, so that two connections never share one.
 */
export function eventHash(connectionId: string, eventId: string): string {
  return sha256Hex(`${connectionId}\n${eventId}`);
}

/**
 * What an event is known by whose id is another event's of this connection.
 *
 * @param digest keyed digest of its content
 */
export function reusedHash(connectionId: string, eventId: string, digest: string): string {
  return sha256Hex(`${connectionId}\n${eventId}\n${digest}`);
}
