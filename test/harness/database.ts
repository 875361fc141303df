import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { disposeLater } from './cleanup.js';
import { usePart } from './describe-with.js';
import { findExecutable, runCommand } from './run-command.js';
import { freshName, tmpDir } from './tmp-dir.js';

export type DatabaseEngine = 'sqlite' | 'postgres' | 'mariadb';

/** All tables, for tests that look through the whole database. */
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

/** One row for each record that waits to be published. */
export const UNSENT = `SELECT id FROM outbox WHERE sent_at_ms IS NULL
  UNION ALL SELECT id FROM connection WHERE unpublished_since_ms IS NOT NULL`;

export interface TestDatabase {
  readonly engine: DatabaseEngine;
  /** As in DATABASE_URL: `sqlite:FILE`, `postgres://…`, `mysql://…`. */
  readonly url: string;
  /** Removes it. At the end of the test or the file this happens by itself. */
  dispose(): Promise<void>;
}

/**
 * A new, empty database. `server`: the address of another server. Default: the part of this run, which needs
 * `describeWith(['postgres'])` or `['mariadb']`. SQLite needs no part.
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
      // Not from the default template1: that fails while another client is connected to it.
      return createPostgres(server ?? usePart('postgres'), 'template0');
    case 'mariadb':
      return createOn(engine, server ?? usePart('mariadb'), mysqlQuery, (name) => ({
        create: `CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`,
        drop: `DROP DATABASE IF EXISTS \`${name}\``,
      }));
  }
}

/**
 * A copy of a database, as one gets it by restoring a dump. PostgreSQL: by `pg_dump` and `psql`, or by a copy on the server
 * if these are not installed.
 */
export async function copyOfDatabase(url: string): Promise<TestDatabase> {
  if (url.startsWith('sqlite:')) {
    const copy = await createDatabase('sqlite');
    copyFileSync(url.slice('sqlite:'.length), copy.url.slice('sqlite:'.length));
    return copy;
  }
  if (!url.startsWith('postgres')) throw new Error('only copies of SQLite and PostgreSQL databases are made');
  const dump = findExecutable('pg_dump');
  const restore = findExecutable('psql');
  if (dump === undefined || restore === undefined) {
    const original = new URL(url).pathname.slice(1);
    return createPostgres(usePart('postgres'), original);
  }
  const copy = await createDatabase('postgres');
  const file = join(tmpDir('dump'), 'dump.sql');
  await runCommand(dump, ['--no-owner', `--file=${file}`, url]);
  await runCommand(restore, ['--quiet', '--set=ON_ERROR_STOP=1', `--file=${file}`, copy.url]);
  return copy;
}

/** The rows of one statement, over a new connection of a plain driver: for assertions from outside the program. */
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

function createPostgres(server: string, template: string): Promise<TestDatabase> {
  return createOn('postgres', server, postgresQuery, (name) => ({
    create: `CREATE DATABASE "${name}" TEMPLATE "${template}"`,
    drop: `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`,
  }));
}

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
