import { createHmac } from 'node:crypto';
import type { SourceRecord } from '../terms.js';

/**
 * What an undecodable record is known by, 64 hexadecimal digits: there is no event id that could be trusted, so its place
 * and its content stand for it; of a line of a pipe the content alone. Keyed, for it is shown, and of a record whose every
 * other byte is known a plain digest would let a password be guessed.
 */
export function recordHash(record: SourceRecord, key: Buffer): string {
  const { topic, partition, offset, digest } = record;
  if (digest !== undefined) return keyedDigest(key, ['line', digest]);
  return keyedDigest(key, ['record', topic, partition, offset], record);
}

/** Of what a record holds, wherever it lies: {@link SourceRecord.digest} of a line, and of what is kept without its payload. */
export function recordDigest(record: SourceRecord, key: Buffer): string {
  const headers = Object.entries(record.headers).map(([name, value]) => [name, value.toString('base64')]);
  return keyedDigest(key, ['content', record.topic, record.key?.toString('base64') ?? null, headers], record);
}

function keyedDigest(key: Buffer, what: readonly unknown[], content?: SourceRecord): string {
  const hmac = createHmac('sha256', key);
  hmac.update(`record-digest/1\n${JSON.stringify(what)}\n`, 'utf8');
  if (content === undefined) return hmac.digest('hex');
  const { value, unread } = content;
  if (unread !== undefined) {
    const { reason, size, digest = null } = unread;
    return hmac.update(`unread\n${JSON.stringify([reason, size, digest])}`, 'utf8').digest('hex');
  }
  return (value === null ? hmac.update('null') : hmac.update('value\n').update(value)).digest('hex');
}
