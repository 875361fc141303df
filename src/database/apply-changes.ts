import { In } from 'typeorm';
import { collidedName, referredBy } from '../pipeline/collision.js';
import type { Changes, DeadLetterHead } from '../pipeline/ledger.js';
import { valueChunks, insertRows } from './row-sql.js';
import { databaseNowMs, type Transaction } from './database.js';
import { DatabaseError } from './errors.js';

/** Writes the rows of many decisions, with as few statements per table as their size allows. */
export async function applyChanges(tx: Transaction, changes: readonly Changes[]): Promise<void> {
  const { tables } = tx;
  await insertRows(
    tx,
    tables.connection,
    collect(changes, (change) => one(change.connection)),
    'replace',
  );
  await removeReferences(tx, changes);
  await insertRows(
    tx,
    tables.reference,
    collect(changes, (change) => change.references?.set),
    'replace',
  );
  await applyStored(tx, changes);
  await wakeRefused(tx, changes);
  await insertRows(
    tx,
    tables.inbox,
    collect(changes, ({ inbox, settled = [] }) => [...one(inbox), ...settled]),
    'replace',
  );
  const removed = collect(changes, (change) => change.deadLetters?.removeEventHashes);
  for (const chunk of valueChunks(removed))
    await tx.manager.delete(tables.deadLetter, { eventHash: In(chunk) });
  await insertRows(
    tx,
    tables.deadLetter,
    collect(changes, (change) => change.deadLetters?.set),
    'replace',
  );
  for (const head of collect(changes, (change) => change.deadLetters?.update)) await updateHead(tx, head);
  await insertRows(
    tx,
    tables.outbox,
    collect(changes, (change) => change.outbox),
  );
  await insertRows(
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
  await insertRows(
    tx,
    storedSecret,
    collect(changes, (change) => change.stored?.insert),
  );
  await insertRows(
    tx,
    storedSecret,
    collect(changes, (change) => change.stored?.update),
    'replace',
  );
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

/**
 * A secret id has become free, or a user's reference to it is gone: makes the dead letters that were refused for it due at
 * once, however long their back-off has become.
 */
async function wakeRefused(tx: Transaction, changes: readonly Changes[]): Promise<void> {
  const freed = collect(changes, ({ stored }) => stored?.update)
    .filter(({ state }) => state === 'deleted')
    .map((row) => ({ code: 'SECRET_ID_COLLISION', words: collidedName(row) }));
  const withdrawn = changes.flatMap(({ connection, references }) =>
    connection !== undefined && references?.isWithdrawn === true
      ? [{ code: 'SECRET_ID_REFERRED', words: referredBy(connection.id) }]
      : [],
  );
  if (freed.length + withdrawn.length === 0) return;
  const nowMs = await databaseNowMs(tx);
  const position = tx.dialect === 'postgres' ? 'STRPOS' : 'INSTR';
  for (const { code, words } of [...freed, ...withdrawn])
    await tx.manager
      .createQueryBuilder()
      .update(tx.tables.deadLetter)
      .set({ nextAttemptAtMs: nowMs })
      .where('code = :code AND next_attempt_at_ms > :nowMs', { code, nowMs })
      .andWhere(`${position}(detail, :words) > 0`, { words })
      .execute();
}

async function updateHead({ manager, tables }: Transaction, head: DeadLetterHead): Promise<void> {
  const { eventHash, ...rest } = head;
  await manager.update(tables.deadLetter, { eventHash }, rest);
}
