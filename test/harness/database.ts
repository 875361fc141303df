import { join } from 'node:path';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { disposeLater } from './cleanup.js';
import { usePart } from './describe-with.js';
import { freshName, tmpDir } from './tmp-dir.js';

export type DatabaseEngine = 'sqlite' | 'postgres' | 'mariadb';

/** All there are, for dumps in which something must not be, or must not have changed. */
export const TABLES = [
  'connection',
  'secret_reference',
  'stored_secret',
  'inbox',
  'outbox',
  'dead_letter',
  'audit',
  'operation',
  'setting',
] as const;

export interface TestDatabase {
  readonly engine: DatabaseEngine;
  /** As in DATABASE_URL: `sqlite:FILE`, `postgres://…`, `mysql://…`. */
  readonly url: string;
  /** Removes it; happens by itself at the end of the test or the file. */
  dispose(): Promise<void>;
}

/**
 * A new, empty database. `server`: the address of a server of one's own; default: the part of this run (needs
 * `describeWith(['postgres'])` or `['mariadb']`; SQLite needs none).
 */
export async function createDatabase(engine: DatabaseEngine, server?: string): Promise<TestDatabase> {
  switch (engine) {
    case 'sqlite':
      return {
        engine,
        url: `sqlite:${join(tmpDir('sqlite'), 'test.sqlite')}`,
        dispose: () => Promise.resolve(),
      };
    case 'postgres':
      return createOn(engine, server ?? usePart('postgres'), postgresQuery, (name) => ({
        // Not from template1, the default: that fails while anybody is connected to it.
        create: `CREATE DATABASE "${name}" TEMPLATE template0`,
        drop: `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`,
      }));
    case 'mariadb':
      return createOn(engine, server ?? usePart('mariadb'), mysqlQuery, (name) => ({
        create: `CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`,
        drop: `DROP DATABASE IF EXISTS \`${name}\``,
      }));
  }
}

/** Rows of one statement, by a connection of its own and a plain driver: for assertions from outside. */
export async function queryDatabase(
  database: { readonly url: string },
  sql: string,
): Promise<Record<string, unknown>[]> {
  if (database.url.startsWith('postgres')) return postgresQuery(database.url, sql);
  if (database.url.startsWith('mysql')) return mysqlQuery(database.url, sql);
  const { default: Sqlite } = await import('better-sqlite3');
  const file = new Sqlite(database.url.slice('sqlite:'.length), { readonly: true });
  try {
    return file.prepare<[], Record<string, unknown>>(sql).all();
  } finally {
    file.close();
  }
}

type Query = (url: string, sql: string) => Promise<Record<string, unknown>[]>;

async function createOn(
  engine: DatabaseEngine,
  server: string,
  query: Query,
  statements: (name: string) => { create: string; drop: string },
): Promise<TestDatabase> {
  const name = freshName('test').replace('-', '_');
  const { create, drop } = statements(name);
  await query(server, create);
  const url = new URL(server);
  url.pathname = `/${name}`;
  let dropped = false;
  const dispose = async (): Promise<void> => {
    if (dropped) return;
    dropped = true;
    await query(server, drop);
  };
  disposeLater(dispose);
  return { engine, url: url.href, dispose };
}

async function postgresQuery(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function mysqlQuery(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection({ uri: url });
  try {
    const [rows] = await connection.query<mysql.RowDataPacket[]>(sql);
    return Array.isArray(rows) ? rows : [];
  } finally {
    await connection.end();
  }
}
