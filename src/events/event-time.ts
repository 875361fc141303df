import type { JsonObject, SourceRecord } from '../terms.js';
import type { OpenedEnvelope } from './cloud-event.js';
import { invalid, isTimestampMs, optionalTimestampMs } from './fields.js';
import { pointer } from './pointer.js';

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/**
 * When the change was made, milliseconds since the epoch: the change event's `timestamp`, else the entity's
 * `updatedAt`, else the CloudEvent's time, else the record's.
 *
 * @throws EventError `EVENT_INVALID`: the first of them that is there is no time, or none is there
 */
export function eventTimeMs(
  change: JsonObject,
  entity: JsonObject | null,
  envelope: OpenedEnvelope,
  record: SourceRecord,
): number {
  const { base, context } = envelope;
  const own = optionalTimestampMs(change, 'timestamp', base);
  if (own !== null) return own;
  const updatedAt = entity && optionalTimestampMs(entity, 'updatedAt', pointer(base, 'entity'));
  if (updatedAt !== null) return updatedAt;
  if (context?.time != null) return parseTime(context.time);
  if (isTimestampMs(record.timestampMs)) return record.timestampMs;
  throw invalid(pointer(base, 'timestamp'), 'is missing, and the record has no time');
}

/** RFC 3339, as CloudEvents writes times; finer parts than milliseconds are cut off. */
function parseTime(text: string): number {
  const time = text.toUpperCase();
  const ms = RFC_3339.test(time) ? Date.parse(time) : Number.NaN;
  if (!isTimestampMs(ms)) throw invalid('time', 'of the CloudEvent must be an RFC 3339 time since 1970');
  return ms;
}
