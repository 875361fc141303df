import { Like } from 'typeorm';
import { sha256Hex } from '../hash.js';
import { auditRow } from '../pipeline/audit.js';
import { databaseNowMs, type Database } from './database.js';

/** Records of a source topic that the group has passed over, `to` not included. */
export interface MissedRecords {
  readonly topic: string;
  readonly partition: number;
  readonly reason: 'expired' | 'recreated';
  readonly from: number;
  readonly to: number;
}

export interface KnownMissedRecords extends MissedRecords {
  readonly atMs: number;
}

/** Where the first record of a time was in a partition, when it was asked for. */
export interface LogCheckpoint {
  readonly topic: string;
  readonly partition: number;
  readonly atMs: number;
  readonly first: number;
}

const PREFIX = 'missed/';
const LOG_PREFIX = 'log/';
const READ_PREFIX = 'read/';
const SAME_MS = 60_000;

/** Up to where the group had come in a partition when a worker last looked, `offset` not included. */
export interface GroupPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Writes it into the audit, once for all workers, and keeps the newest of each partition for those who ask. */
export async function recordMissed(database: Database, missed: MissedRecords, detail: string): Promise<void> {
  const { topic, partition, reason, from, to } = missed;
  const name = nameOf(PREFIX, missed);
  await database.transaction(async (tx) => {
    const { manager, tables } = tx;
    const known = await manager.findOneBy(tables.setting, { name });
    const before = known === null ? null : (JSON.parse(known.value) as KnownMissedRecords);
    const atMs = await databaseNowMs(tx);
    const isSame = before?.reason === reason && before.from === from;
    // Each worker looks at its own time: of one topic made anew they see the end at different places.
    if (isSame && (before.to >= to || (reason === 'recreated' && atMs - before.atMs < SAME_MS))) return;
    const value = JSON.stringify({ topic, partition, reason, from, to, atMs } satisfies KnownMissedRecords);
    await manager.upsert(tables.setting, { name, value }, ['name']);
    const nobody = { actor: null, connectionId: null, path: null, secretId: null, eventId: null };
    await manager.insert(tables.audit, auditRow({ atMs, action: 'miss', ...nobody, detail }));
  });
}

/** What was missed last of each partition, newest first. */
export async function knownMissed(database: Database): Promise<readonly KnownMissedRecords[]> {
  const known = await valuesOf<KnownMissedRecords>(database, PREFIX);
  return known.sort((left, right) => right.atMs - left.atMs);
}

/** Of every partition the log that the group reads, as all workers know it, also those that are started later. */
export function loadCheckpoints(database: Database): Promise<readonly LogCheckpoint[]> {
  return valuesOf<LogCheckpoint>(database, LOG_PREFIX);
}

export function saveCheckpoints(database: Database, checkpoints: readonly LogCheckpoint[]): Promise<void> {
  return saveValues(database, LOG_PREFIX, checkpoints);
}

/** Kafka forgets a position when kafkajs goes on behind a gap, and after some days without a member; this does not. */
export function loadGroupPositions(database: Database): Promise<readonly GroupPosition[]> {
  return valuesOf<GroupPosition>(database, READ_PREFIX);
}

export function saveGroupPositions(database: Database, positions: readonly GroupPosition[]): Promise<void> {
  return saveValues(database, READ_PREFIX, positions);
}

async function saveValues(
  database: Database,
  prefix: string,
  values: readonly Pick<LogCheckpoint, 'topic' | 'partition'>[],
): Promise<void> {
  if (values.length === 0) return;
  const rows = values.map((value) => ({ name: nameOf(prefix, value), value: JSON.stringify(value) }));
  await database.transaction(({ manager, tables }) => manager.upsert(tables.setting, rows, ['name']));
}

async function valuesOf<T>(database: Database, prefix: string): Promise<T[]> {
  const rows = await database.run(({ manager, tables }) =>
    manager.findBy(tables.setting, { name: Like(`${prefix}%`) }),
  );
  return rows.map(({ value }) => JSON.parse(value) as T);
}

function nameOf(prefix: string, { topic, partition }: Pick<LogCheckpoint, 'topic' | 'partition'>): string {
  return `${prefix}${sha256Hex(`${topic}/${partition}`).slice(0, 32)}`;
}
