import type { Transaction } from './database.js';

/** MariaDB does not know `FOR SHARE`, which TypeORM would send it: MySQL and MariaDB both know the older form. */
const LOCKS = {
  share: { sqlite: '', postgres: 'FOR SHARE', mysql: 'LOCK IN SHARE MODE' },
  update: { sqlite: '', postgres: 'FOR UPDATE', mysql: 'FOR UPDATE' },
} as const;

/** Locked for the rest of the transaction, so that the manager does not change under a commit. */
export async function lockManagerEpoch(
  { manager, dialect }: Transaction,
  lock: keyof typeof LOCKS = 'share',
): Promise<number> {
  const rows = await manager.query<{ value: string }[]>(
    `SELECT value FROM setting WHERE name = 'manager_epoch' ${LOCKS[lock][dialect]}`,
  );
  return Number(rows[0]?.value);
}
