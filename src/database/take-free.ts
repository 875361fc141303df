import { In } from 'typeorm';
import { databaseNowMs, type Transaction } from './database.js';
import { lockConnections } from './load-state.js';

/**
 * Locks the rows of these connections for the rest of the transaction, and returns those that are not claimed. It also ends
 * expired claims: a holder that came back would otherwise write what it had read before.
 */
export async function lockFree(tx: Transaction, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = [...(await lockConnections(tx, ids)).values()];
  const nowMs = await databaseNowMs(tx);
  const free = rows.filter((row) => row.claimOwner === null || row.claimExpiresAtMs <= nowMs);
  const ranOut = free.filter((row) => row.claimOwner !== null).map(({ id }) => id);
  if (ranOut.length > 0)
    await tx.manager
      .createQueryBuilder()
      .update(tx.tables.connection)
      .set({ claimOwner: null, claimExpiresAtMs: 0, claimEpoch: () => 'claim_epoch + 1' })
      .where({ id: In(ranOut) })
      .execute();
  return new Set(free.map(({ id }) => id));
}
