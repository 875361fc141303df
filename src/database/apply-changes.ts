import { In, type EntitySchema, type ObjectLiteral } from 'typeorm';
import type { Changes, DeadLetterHead } from '../pipeline/ledger.js';
import { rowChunks, valueChunks } from './chunks.js';
import type { Transaction } from './database.js';
import { DatabaseError } from './errors.js';

/** Writes the rows of many plans, as few statements a table as their size allows. */
export async function applyChanges(tx: Transaction, changes: readonly Changes[]): Promise<void> {
  const { tables } = tx;
  await upsert(
    tx,
    tables.connection,
    ['id'],
    collect(changes, (change) => one(change.connection)),
  );
  await removeReferences(tx, changes);
  const references = collect(changes, (change) => change.references?.set);
  await upsert(tx, tables.reference, ['connectionId', 'pathHash'], references);
  await applyStored(tx, changes);
  await upsert(
    tx,
    tables.inbox,
    ['eventHash'],
    collect(changes, (change) => one(change.inbox)),
  );
  const removed = collect(changes, (change) => change.deadLetters?.removeEventHashes);
  for (const chunk of valueChunks(removed))
    await tx.manager.delete(tables.deadLetter, { eventHash: In(chunk) });
  await upsert(
    tx,
    tables.deadLetter,
    ['eventHash'],
    collect(changes, (change) => change.deadLetters?.set),
  );
  for (const head of collect(changes, (change) => change.deadLetters?.update)) await updateHead(tx, head);
  await insert(
    tx,
    tables.outbox,
    collect(changes, (change) => change.outbox),
  );
  await insert(
    tx,
    tables.audit,
    collect(changes, (change) => change.audit),
  );
}

function collect<T>(changes: readonly Changes[], rowsOf: (change: Changes) => readonly T[] | undefined): T[] {
  return changes.flatMap((change) => rowsOf(change) ?? []);
}

function one<T>(row: T | undefined): readonly T[] {
  return row === undefined ? [] : [row];
}

async function removeReferences(
  { manager, tables }: Transaction,
  changes: readonly Changes[],
): Promise<void> {
  for (const { connection, references } of changes) {
    if (connection === undefined || references === undefined) continue;
    for (const chunk of valueChunks(references.removePathHashes))
      await manager.delete(tables.reference, { connectionId: connection.id, pathHash: In(chunk) });
  }
}

async function applyStored(tx: Transaction, changes: readonly Changes[]): Promise<void> {
  const { storedSecret } = tx.tables;
  await insert(
    tx,
    storedSecret,
    collect(changes, (change) => change.stored?.insert),
  );
  const updated = collect(changes, (change) => change.stored?.update);
  await upsert(tx, storedSecret, ['manager', 'secretIdHash'], updated);
  for (const { row, from } of collect(changes, (change) => change.stored?.revive)) {
    const { manager, secretIdHash, ...rest } = row;
    const { affected } = await tx.manager.update(
      storedSecret,
      { manager, secretIdHash, connectionId: from, state: 'deleted' },
      rest,
    );
    if (affected !== 1) throw new DatabaseError('unique', null);
  }
}

async function updateHead({ manager, tables }: Transaction, head: DeadLetterHead): Promise<void> {
  const { eventHash, ...rest } = head;
  await manager.update(tables.deadLetter, { eventHash }, rest);
}

async function upsert<T extends ObjectLiteral>(
  { manager }: Transaction,
  table: EntitySchema<T>,
  key: (keyof T & string)[],
  rows: readonly T[],
): Promise<void> {
  for (const chunk of rowChunks(rows)) await manager.upsert(table, chunk, { conflictPaths: key });
}

async function insert<T extends ObjectLiteral>(
  { manager }: Transaction,
  table: EntitySchema<T>,
  rows: readonly T[],
): Promise<void> {
  for (const chunk of rowChunks(rows)) await manager.insert(table, chunk);
}
