import { DataSource, type EntityManager } from 'typeorm';
import { MIGRATIONS } from '../../migrations/index.js';
import { dialectOfAddress, tlsOptions, type DatabaseSettings } from './database-settings.js';
import type { ServerAddress } from '../config.js';
import { ConfigurationError } from '../errors.js';
import { nativeModuleError, requireSqlite } from '../native-module.js';
import type { Dialect } from './dialect.js';
import { asDatabaseError, DatabaseError } from './errors.js';
import { lockSqliteFile, type SqliteFileLock, sqliteTransaction } from './sqlite-lock.js';
import { tablesOf, type Tables } from './tables.js';

/** Milliseconds a worker's statement waits for a row lock. Short, because many lanes share a transaction and all wait. */
const LOCK_WAIT_MS = 1_000;
/** Milliseconds that SQLite waits for other users of the same file. */
const SQLITE_BUSY_MS = 5_000;
/** Milliseconds one statement may take. */
const STATEMENT_TIMEOUT_MS = 20_000;
/** A stopped process (SIGSTOP) must not keep its row locks: the server ends its transaction after this. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** The same for MySQL, whose sessions time out whether idle in a transaction or not. */
export const MYSQL_IDLE_SECONDS = (IDLE_IN_TRANSACTION_MS * 2) / 1_000;
/**
 * Milliseconds a command waits for a row lock. A worker can handle its event again later, but a command would fail. Longer
 * than a stopped process can keep a lock, shorter than a statement may take.
 */
export const COMMAND_LOCK_WAIT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** How often a transaction is tried that loses a conflict (deadlock, serialization) with another one. */
const CONTENTION_TRIES = 4;

/** One open transaction. */
export interface Transaction {
  readonly manager: EntityManager;
  readonly tables: Tables;
  readonly dialect: Dialect;
}

export interface OpenOptions {
  /** `write` takes the exclusive lock of a SQLite file; `read` opens it read-only beside a working process. */
  readonly access: 'write' | 'read';
  /** Milliseconds that a statement waits for a row lock. Default: {@link LOCK_WAIT_MS}. */
  readonly lockWaitMs?: number | undefined;
}

/** One interface to all dialects: runs transactions, and gives errors that do not show statements. */
export class Database {
  readonly dialect: Dialect;
  readonly tables: Tables;
  readonly dataSource: DataSource;
  readonly #lock: SqliteFileLock | null;
  /** SQLite has one connection, on which two transactions at once would be nested; so they run one after the other. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(dialect: Dialect, tables: Tables, dataSource: DataSource, lock: SqliteFileLock | null) {
    this.dialect = dialect;
    this.tables = tables;
    this.dataSource = dataSource;
    this.#lock = lock;
  }

  /** Connects. Throws DATABASE_IN_USE, DATABASE_UNAVAILABLE or CONFIG_INVALID. */
  static async open(settings: DatabaseSettings, options: OpenOptions): Promise<Database> {
    const { address } = settings;
    const { access } = options;
    if (address.type === 'sqlite') requireSqlite();
    const dialect = dialectOfAddress(address);
    const tables = tablesOf(dialect);
    const lock = address.type === 'sqlite' && access === 'write' ? lockSqliteFile(address.file) : null;
    const dataSource = new DataSource(await dataSourceOptions(settings, options, tables));
    try {
      await dataSource.initialize();
    } catch (error) {
      lock?.release();
      throw openError(error, settings);
    }
    return new Database(dialect, tables, dataSource, lock);
  }

  /** Runs `work` in one READ COMMITTED transaction; runs it again if the transaction loses a conflict with another one. */
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#sentAgain(() =>
      this.dialect === 'sqlite'
        ? sqliteTransaction(this.dataSource, (manager) => work(this.#asTransaction(manager)))
        : this.dataSource.transaction('READ COMMITTED', (manager) => work(this.#asTransaction(manager))),
    );
  }

  /** Runs statements without a common transaction. If one loses a conflict with a transaction, runs all of them again. */
  run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#sentAgain(() => work(this.#asTransaction(this.dataSource.manager)));
  }

  async #sentAgain<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#exclusive(work);
      } catch (error) {
        const failure = asDatabaseError(error);
        const lost = failure instanceof DatabaseError && failure.failure === 'contention';
        if (!lost || attempt >= CONTENTION_TRIES) throw failure;
      }
    }
  }

  async ping(): Promise<void> {
    await this.run(({ manager }) => manager.query('SELECT 1'));
  }

  async close(): Promise<void> {
    await this.#tail.catch(() => undefined);
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
    this.#lock?.release();
  }

  #asTransaction(manager: EntityManager): Transaction {
    return { manager, tables: this.tables, dialect: this.dialect };
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    if (this.dialect !== 'sqlite') return work();
    const result = this.#tail.then(work, work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** SQL for the database's clock, milliseconds since the epoch. Claims expire by it, whatever the workers' clocks say. */
export function nowSql(dialect: Dialect): string {
  return {
    sqlite: `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
    postgres: `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)`,
    mysql: `CAST(unix_timestamp(sysdate(6)) * 1000 AS UNSIGNED)`,
  }[dialect];
}

export async function databaseNowMs({ manager, dialect }: Transaction): Promise<number> {
  const rows = await manager.query<{ now: string | number }[]>(`SELECT ${nowSql(dialect)} AS now`);
  return Number(rows[0]?.now);
}

/** Loads only the driver that the database needs, because each takes a while to load. */
async function dataSourceOptions(
  { address, poolSize }: DatabaseSettings,
  { access, lockWaitMs = LOCK_WAIT_MS }: OpenOptions,
  tables: Tables,
) {
  const common = {
    entities: Object.values(tables),
    migrations: [...MIGRATIONS],
    migrationsTableName: 'schema_migration',
    synchronize: false,
    migrationsRun: false,
    logging: false as const,
  };
  switch (address.type) {
    case 'sqlite':
      return {
        ...common,
        type: 'better-sqlite3' as const,
        database: address.file,
        readonly: access === 'read',
        fileMustExist: access === 'read',
        timeout: SQLITE_BUSY_MS,
        prepareDatabase: (database: { pragma(text: string): unknown }) => {
          if (access === 'read') return;
          database.pragma('journal_mode = WAL');
          // The Kafka offset is committed after the transaction, so the transaction must survive a power cut.
          database.pragma('synchronous = FULL');
        },
      };
    case 'postgres': {
      const { PostgresClient } = await import('./postgres-client.js');
      return {
        ...common,
        type: 'postgres' as const,
        ...serverOptions(address),
        ...(address.schema === null ? {} : { schema: address.schema }),
        applicationName: 'connection-secrets-worker',
        connectTimeoutMS: CONNECT_TIMEOUT_MS,
        poolSize,
        // The pool replaces idle connections that break. A query on a broken connection rejects with the error itself.
        poolErrorHandler: () => undefined,
        extra: {
          Client: PostgresClient,
          lock_timeout: lockWaitMs,
          statement_timeout: STATEMENT_TIMEOUT_MS,
          query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
          idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
          keepAlive: true,
        },
      };
    }
    case 'mysql':
    case 'mariadb': {
      const { mysqlDriver } = await import('./mysql-driver.js');
      return {
        ...common,
        type: 'mysql' as const,
        ...serverOptions(address),
        charset: 'utf8mb4',
        timezone: 'Z',
        connectTimeout: CONNECT_TIMEOUT_MS,
        poolSize,
        driver: mysqlDriver({ lockWaitSeconds: lockWaitMs / 1_000, idleSeconds: MYSQL_IDLE_SECONDS }),
        extra: { idleTimeout: IDLE_IN_TRANSACTION_MS, maxIdle: 2, enableKeepAlive: true },
      };
    }
  }
}

function serverOptions({ host, port, user, password, database, tls }: ServerAddress) {
  return {
    host,
    port,
    database,
    ...(user === null ? {} : { username: user }),
    ...(password === null ? {} : { password: password.reveal() }),
    ssl: tlsOptions(tls),
  };
}

function openError(error: unknown, settings: DatabaseSettings): Error {
  const failure = nativeModuleError(error) ?? asDatabaseError(error);
  if (failure instanceof DatabaseError && failure.failure === 'refused')
    return new ConfigurationError(
      'CONFIG_INVALID',
      `DATABASE_URL: the ${settings.address.type} database cannot be opened (${failure.message}); check its address, name and user`,
    );
  const { address } = settings;
  if (!(failure instanceof DatabaseError) || address.type === 'sqlite') return failure;
  return failure.at(`${address.database} at ${address.host}:${address.port} as ${address.user ?? 'nobody'}`);
}
