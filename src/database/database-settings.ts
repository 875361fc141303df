import { readFileSync } from 'node:fs';
import type { DatabaseAddress, DatabaseTls } from '../config.js';
import type { Dialect } from './dialect.js';

/** Where the database is, and how many connections to it there may be. */
export interface DatabaseSettings {
  readonly address: DatabaseAddress;
  readonly poolSize: number;
}

export function dialectOfAddress({ type }: DatabaseAddress): Dialect {
  return type === 'mariadb' ? 'mysql' : type;
}

/** The `ssl` option of `pg` and `mysql2`. */
export function tlsOptions({
  mode,
  caFile,
}: DatabaseTls): false | { rejectUnauthorized: boolean; ca?: string } {
  if (mode === 'disable') return false;
  return {
    rejectUnauthorized: mode === 'verify',
    ...(caFile === null ? {} : { ca: readFileSync(caFile, 'utf8') }),
  };
}
