import { realpathSync, statSync } from 'node:fs';
import type { DatabaseAddress } from '../config.js';
import { sha256Hex } from '../hash.js';

/**
 * A digest of where a database is: host, port and names of a server's; path and file of SQLite's, so that a copy of the
 * file is another database, also under the same path. No login goes in.
 */
export function databasePlace(address: DatabaseAddress): string {
  return sha256Hex(JSON.stringify(partsOf(address))).slice(0, 32);
}

function partsOf(address: DatabaseAddress): readonly (string | number | bigint)[] {
  if (address.type !== 'sqlite') {
    const { host, port, database, schema } = address;
    return ['server', host.toLowerCase(), port, database, schema ?? ''];
  }
  if (address.file === ':memory:') return ['memory', process.pid];
  return ['file', realpathSync(address.file), String(statSync(address.file, { bigint: true }).ino)];
}
