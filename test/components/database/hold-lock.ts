import { lockSqliteFile } from '../../../src/database/sqlite-lock.js';

/** A process of its own that works on a SQLite database until it is killed. */
lockSqliteFile(process.argv[2] ?? '');
process.stdout.write('locked\n');
setInterval(() => undefined, 60_000);
