import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { SourceRecord, Unread } from '../src/terms.js';

/** A header can come several times; the last one counts, as with Java's `Headers.lastHeader`. */
function toHeaders(headers: IHeaders | undefined): Record<string, Buffer> {
  // No prototype: a header may have any name.
  const result: Record<string, Buffer> = Object.create(null) as Record<string, Buffer>;
  for (const [name, given] of Object.entries(headers ?? {})) {
    const last = Array.isArray(given) ? given.at(-1) : given;
    if (last !== undefined && last !== null) result[name] = Buffer.isBuffer(last) ? last : Buffer.from(last);
  }
  return result;
}

export function toSourceRecord(
  topic: string,
  partition: number,
  message: KafkaMessage & { readonly unread?: Unread },
): SourceRecord {
  return {
    topic,
    partition,
    offset: Number(message.offset),
    key: message.key,
    value: message.value,
    headers: toHeaders(message.headers),
    timestampMs: Number(message.timestamp),
    ...(message.unread === undefined ? {} : { unread: message.unread }),
  };
}
