/**
 * Loaded into a worker by `--import`: while the file DISK_FULL_FILE is there its SQLite database takes as many more pages
 * as that file says, and none beyond. SQLite does the rest: SQLITE_FULL, and the end of the transaction.
 */
import { existsSync, readFileSync } from 'node:fs';

const NO_LIMIT = 1_000_000_000;
const file = process.env.DISK_FULL_FILE ?? '';
let limit = null;

const base = new URL('../../../dist/src/', import.meta.url);
const { Database } = await import(new URL('database/database.js', base).href);

const { transaction } = Database.prototype;
Database.prototype.transaction = function (work) {
  const connection = this.dataSource.driver.databaseConnection;
  if (existsSync(file))
    limit ??= connection.pragma('page_count', { simple: true }) + Number(readFileSync(file, 'utf8'));
  else limit = null;
  connection.pragma(`max_page_count = ${limit ?? NO_LIMIT}`);
  return transaction.call(this, work);
};
