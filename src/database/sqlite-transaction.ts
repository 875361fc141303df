import type { DataSource, EntityManager } from 'typeorm';

/** What TypeORM's driver holds: its one connection, and the runner in which it counts open transactions. */
interface SqliteDriver {
  readonly databaseConnection: { readonly inTransaction: boolean; exec(sql: string): unknown };
  queryRunner: unknown;
}

/**
 * Runs `work` in one transaction of SQLite, which ends a transaction by itself where its disk is full or fails. TypeORM's
 * own roll-back fails then, it goes on counting that transaction as open, and nests all later ones in it: one of those
 * that fails would leave it open for good, and nothing would be committed any more.
 */
export async function sqliteTransaction<T>(
  dataSource: DataSource,
  work: (manager: EntityManager) => Promise<T>,
): Promise<T> {
  try {
    return await dataSource.transaction(work);
  } catch (error) {
    startAfresh(dataSource.driver as unknown as SqliteDriver);
    throw error;
  }
}

function startAfresh(driver: SqliteDriver): void {
  if (driver.databaseConnection.inTransaction) driver.databaseConnection.exec('ROLLBACK');
  driver.queryRunner = undefined;
}
