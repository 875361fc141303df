import { In } from 'typeorm';
import type { Ledger } from '../pipeline/ledger.js';
import type { Transaction } from './database.js';

/** By whom and what for these secrets were retired last: see {@link Ledger.retirements}. */
export async function findRetirements(
  { manager, tables }: Transaction,
  connectionId: string,
  secretIds: readonly string[],
): ReturnType<Ledger['retirements']> {
  const rows = await manager.find(tables.audit, {
    where: { connectionId, action: 'retire', secretId: In([...secretIds]) },
    order: { atMs: 'ASC' },
  });
  return new Map(rows.map((row) => [row.secretId ?? '', row]));
}
