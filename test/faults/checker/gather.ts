import { existsSync, readFileSync } from 'node:fs';
import { quietKafka } from '../../harness/index.js';
import type { Evidence, Leak, OffsetEvidence, StoreSecret } from './evidence.js';
import { ValueScanner } from './leaks.js';
import { readDatabase } from './read-database.js';
import { readDeadLetters, readSecured } from './read-records.js';
import { readStore } from './read-stores.js';
import { tokenOpener } from './tokens.js';
import type { CheckInput, PublishedEvent } from './types.js';

/** Reads everything once: the database, the topics or files, the stores, and all texts for values in them. */
export async function gather(input: CheckInput): Promise<Evidence> {
  const openToken = tokenOpener(input.keys ?? []);
  const values = [...new Set(input.published.flatMap(textsOf))];
  const scanner = new ValueScanner(values);
  const leaks: Leak[] = [];
  const see = (where: string, text: string | Buffer, connection: string | null): void => {
    if (scanner.find(text).length > 0) leaks.push({ where, connection });
  };
  const database = await readDatabase(input.databaseUrl, (table, text, connection) =>
    see(`the table ${table}`, text, connection),
  );
  const secured = await readSecured(input.secured, (text, key) => see('a record of secured', text, key));
  const deadLetters =
    input.deadLetters === undefined
      ? null
      : await readDeadLetters(input.deadLetters, (text, key) => see('a dead letter', text, key));
  const stores = new Map<string, ReadonlyMap<string, StoreSecret> | null>();
  for (const [manager, source] of Object.entries(input.stores))
    stores.set(manager, await readStore(manager, source, openToken));
  for (const [name, text] of Object.entries(input.logs ?? {})) see(name, text, null);
  for (const file of filesOf(input)) see(file, readFileSync(file), null);
  return { database, secured, deadLetters, stores, openToken, leaks, offsets: await offsetsOf(input) };
}

/** What an event may say in place of a value; the word null is refused, and everywhere. */
const NO_VALUES = new Set(['', '*********', 'null']);

/** The values that must be in a store and nowhere else. */
function textsOf({ fields }: PublishedEvent): string[] {
  return Object.values(fields).filter(
    (text): text is string => text !== null && !NO_VALUES.has(text) && !/^secrets?:/.test(text),
  );
}

/** SQLite's files as bytes: what is deleted may still lie there. */
function filesOf({ databaseUrl, stores, files = [] }: CheckInput): string[] {
  const sqlite = databaseUrl.startsWith('sqlite:') ? [databaseUrl.slice('sqlite:'.length)] : [];
  const vaults = Object.values(stores).flatMap((source) => (source.kind === 'local' ? [source.file] : []));
  const withLogs = [...sqlite, ...vaults].flatMap((file) => [file, `${file}-wal`]);
  return [...new Set([...withLogs.filter((file) => existsSync(file)), ...files])];
}

/** How far the group is in each source topic. One connection for all: who waits for it asks again and again. */
export async function offsetsOf({ sources }: Pick<CheckInput, 'sources'>): Promise<OffsetEvidence[]> {
  if (sources === undefined) return [];
  const { brokers, groupId, topics } = sources;
  const admin = quietKafka(brokers).admin();
  await admin.connect();
  try {
    const offsets: OffsetEvidence[] = [];
    for (const { topic, partitions } of await admin.fetchOffsets({ groupId, topics: [...topics] })) {
      const committed = new Map(partitions.map(({ partition, offset }) => [partition, Number(offset)]));
      for (const { partition, high } of await admin.fetchTopicOffsets(topic))
        // A partition that never had a record has nothing to commit.
        offsets.push({
          ...{ topic, partition, end: Number(high) },
          committed: Math.max(0, committed.get(partition) ?? 0),
        });
    }
    return offsets;
  } finally {
    await admin.disconnect();
  }
}
