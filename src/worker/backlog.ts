import type { Database } from '../database/database.js';
import { countUnsent } from '../database/find-pending.js';
import type { BacklogCounts } from '../observability/index.js';

/** Counts what waits in the database: unsent records, waiting events, dead letters. */
export async function readBacklog(database: Database): Promise<BacklogCounts> {
  return database.run(async (tx) => {
    const { manager, tables } = tx;
    const unsent = await countUnsent(tx);
    const letters = await manager
      .createQueryBuilder(tables.deadLetter, 'letter')
      .select('letter.state', 'state')
      .addSelect('COUNT(*)', 'total')
      .groupBy('letter.state')
      .getRawMany<{ state: string; total: string | number }>();
    const of = (state: string): number => Number(letters.find((row) => row.state === state)?.total ?? 0);
    return { unsent, waiting: of('waiting'), dead: of('dead') };
  });
}
