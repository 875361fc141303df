import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { eachRecord, type ReceivedRecord } from '../../harness/index.js';
import { requireSecuredSchema } from '../../harness/schemas.js';
import type { SecuredEvent } from '../../../src/terms.js';
import type { DeadLetterRecord, SecuredEvidence, SecuredLog } from './evidence.js';
import type { RecordSource } from './types.js';

type RawRecord = Pick<ReceivedRecord, 'key' | 'partition' | 'offset' | 'value' | 'headers'>;
/** Called with all bytes of every record. */
export type SeeRecord = (text: string, connectionId: string | null) => void;

const TIMEOUT_MS = 300_000;

export async function readSecured(source: RecordSource, see: SeeRecord): Promise<SecuredLog> {
  const records: SecuredEvidence[] = [];
  const lastData = new Map<string, SecuredEvent>();
  await each(source, (raw) => {
    see(textOf(raw), raw.key);
    const [record, data] = securedEvidence(raw);
    records.push(record);
    if (data !== null) lastData.set(data.connectionId, data);
  });
  return { records, lastData };
}

export async function readDeadLetters(source: RecordSource, see: SeeRecord): Promise<DeadLetterRecord[]> {
  const records: DeadLetterRecord[] = [];
  await each(source, (raw) => {
    see(textOf(raw), raw.key);
    const { headers } = raw;
    records.push({
      eventId: headers['event-id'] ?? null,
      connectionId: headers['connection-id'] ?? null,
      source: `${headers['source-topic']}/${headers['source-partition']}/${headers['source-offset']}`,
    });
  });
  return records;
}

async function each(source: RecordSource, visit: (raw: RawRecord) => void): Promise<void> {
  if (source.kind === 'kafka') {
    const { brokers, topic } = source;
    await eachRecord(topic, visit, { brokers, timeoutMs: TIMEOUT_MS });
    return;
  }
  let offset = 0;
  for await (const line of createInterface({ input: createReadStream(source.file), crlfDelay: Infinity })) {
    const key = subjectOf(line);
    visit({ key, partition: 0, offset, value: Buffer.from(line, 'utf8'), headers: {} });
    offset += 1;
  }
}

/** A line has no key: what would be it stands in the event. */
function subjectOf(line: string): string | null {
  try {
    const { subject } = JSON.parse(line) as { subject?: unknown };
    return typeof subject === 'string' ? subject : null;
  } catch {
    return null;
  }
}

function textOf({ key, value, headers }: RawRecord): string {
  return [key ?? '', value?.toString('utf8') ?? '', ...Object.entries(headers).flat()].join('\n');
}

function securedEvidence(raw: RawRecord): [SecuredEvidence, SecuredEvent | null] {
  const place = {
    key: raw.key,
    partition: raw.partition,
    position: raw.offset,
    digest: createHash('sha256')
      .update(raw.value ?? '')
      .digest('hex'),
  };
  try {
    requireSecuredSchema(raw);
    const body = JSON.parse(raw.value?.toString('utf8') ?? '') as { id: string; data: SecuredEvent };
    const binaryId = raw.headers['ce_id'];
    const data = binaryId === undefined ? body.data : (body as unknown as SecuredEvent);
    const record = {
      ...place,
      cloudEventId: binaryId ?? body.id,
      connectionId: data.connectionId,
      revision: data.revision,
      generation: data.generation,
      operation: data.operation,
      eventId: data.source.eventId,
      problem: null,
    };
    return [record, data];
  } catch (error) {
    const nothing = { cloudEventId: null, connectionId: null, revision: 0, generation: 0, operation: '' };
    // The names of schemas and of their members, or of a parser's complaint: never shown with what it quotes.
    const problem = error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message;
    return [{ ...place, ...nothing, eventId: '', problem }, null];
  }
}
