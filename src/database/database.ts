import { DataSource, type EntityManager } from 'typeorm';
import { MIGRATIONS } from '../../migrations/index.js';
import { dialectOfAddress, tlsOptions, type DatabaseSettings } from './database-settings.js';
import type { ServerAddress } from '../config.js';
import { ConfigurationError } from '../errors.js';
import type { Dialect } from './dialect.js';
import { asDatabaseError, DatabaseError } from './errors.js';
import { PostgresClient } from './postgres-client.js';
import { lockSqliteFile, type SqliteFileLock } from './sqlite-lock.js';
import { sqliteTransaction } from './sqlite-transaction.js';
import { tablesOf, type Tables } from './tables.js';

/** Milliseconds a statement waits for a row lock: transactions are shared by many lanes, which all wait with it. */
const LOCK_TIMEOUT_MS = 1_000;
/** Milliseconds in which SQLite waits for readers of the same file. */
const SQLITE_BUSY_MS = 5_000;
/** Milliseconds one statement may take. */
const STATEMENT_TIMEOUT_MS = 20_000;
/** A stopped process (SIGSTOP) must not keep its row locks: the server ends its transaction after this. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** The same for MySQL, whose sessions time out whether idle in a transaction or not. */
export const MYSQL_IDLE_SECONDS = (IDLE_IN_TRANSACTION_MS * 2) / 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** How often a transaction that lost against another one is sent again. */
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
}

/** The database behind one interface: transactions, errors without statements, the dialect's differences. */
export class Database {
  readonly dialect: Dialect;
  readonly tables: Tables;
  readonly dataSource: DataSource;
  readonly #lock: SqliteFileLock | null;
  /** SQLite has one connection: two transactions at once would become one, nested. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(dialect: Dialect, tables: Tables, dataSource: DataSource, lock: SqliteFileLock | null) {
    this.dialect = dialect;
    this.tables = tables;
    this.dataSource = dataSource;
    this.#lock = lock;
  }

  /** Connects; throws DATABASE_IN_USE, DATABASE_UNAVAILABLE or CONFIG_INVALID. */
  static async open(settings: DatabaseSettings, { access }: OpenOptions): Promise<Database> {
    const { address } = settings;
    const dialect = dialectOfAddress(address);
    const tables = tablesOf(dialect);
    const lock = address.type === 'sqlite' && access === 'write' ? lockSqliteFile(address.file) : null;
    const dataSource = new DataSource(dataSourceOptions(settings, access, tables));
    try {
      await dataSource.initialize();
    } catch (error) {
      lock?.release();
      throw openError(error, settings);
    }
    if (dialect === 'mysql') prepareMysqlSessions(dataSource);
    return new Database(dialect, tables, dataSource, lock);
  }

  /** Runs `work` in one READ COMMITTED transaction; one that lost against another is sent again. */
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#exclusive(() =>
          this.dialect === 'sqlite'
            ? sqliteTransaction(this.dataSource, (manager) => work(this.#asTransaction(manager)))
            : this.dataSource.transaction('READ COMMITTED', (manager) => work(this.#asTransaction(manager))),
        );
      } catch (error) {
        const failure = asDatabaseError(error);
        const lost = failure instanceof DatabaseError && failure.failure === 'contention';
        if (!lost || attempt >= CONTENTION_TRIES) throw failure;
      }
    }
  }

  /** Runs statements outside of a transaction, each one for itself. */
  async run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    try {
      return await this.#exclusive(() => work(this.#asTransaction(this.dataSource.manager)));
    } catch (error) {
      throw asDatabaseError(error);
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

/** The database's clock, milliseconds since the epoch: claims expire by it, whatever the workers' clocks say. */
export async function databaseNowMs({ manager, dialect }: Transaction): Promise<number> {
  const expression = {
    sqlite: `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
    postgres: `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)`,
    mysql: `CAST(unix_timestamp(sysdate(6)) * 1000 AS UNSIGNED)`,
  }[dialect];
  const rows = await manager.query<{ now: string | number }[]>(`SELECT ${expression} AS now`);
  return Number(rows[0]?.now);
}

function dataSourceOptions(
  { address, poolSize }: DatabaseSettings,
  access: 'write' | 'read',
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
          // An offset is committed after the transaction: the transaction must survive a power cut.
          database.pragma('synchronous = FULL');
        },
      };
    case 'postgres':
      return {
        ...common,
        type: 'postgres' as const,
        ...serverOptions(address),
        ...(address.schema === null ? {} : { schema: address.schema }),
        applicationName: 'connection-secrets-worker',
        connectTimeoutMS: CONNECT_TIMEOUT_MS,
        poolSize,
        // Idle connections that break are replaced by the pool; whoever uses one sees the error there.
        poolErrorHandler: () => undefined,
        extra: {
          Client: PostgresClient,
          lock_timeout: LOCK_TIMEOUT_MS,
          statement_timeout: STATEMENT_TIMEOUT_MS,
          query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
          idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
          keepAlive: true,
        },
      };
    case 'mysql':
    case 'mariadb':
      return {
        ...common,
        type: 'mysql' as const,
        ...serverOptions(address),
        charset: 'utf8mb4',
        timezone: 'Z',
        connectTimeout: CONNECT_TIMEOUT_MS,
        poolSize,
        extra: { idleTimeout: IDLE_IN_TRANSACTION_MS, maxIdle: 2, enableKeepAlive: true },
      };
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

interface MysqlConnection {
  query(sql: string, done: (error: unknown) => void): void;
}

interface MysqlPool {
  on(event: 'connection', listener: (connection: MysqlConnection) => void): void;
}

/**
 * MySQL has no time-out of its own for an idle transaction: `wait_timeout` ends the session of a stopped process, and
 * with it its row locks. Pooled connections are closed by us before that.
 */
function prepareMysqlSessions(dataSource: DataSource): void {
  const { pool } = dataSource.driver as unknown as { pool: MysqlPool };
  pool.on('connection', (connection) => {
    connection.query(
      `SET SESSION innodb_lock_wait_timeout = ${LOCK_TIMEOUT_MS / 1000}, wait_timeout = ${MYSQL_IDLE_SECONDS}`,
      () => undefined,
    );
  });
}

function openError(error: unknown, settings: DatabaseSettings): Error {
  const failure = asDatabaseError(error);
  if (failure instanceof DatabaseError && failure.failure === 'refused')
    return new ConfigurationError(
      'CONFIG_INVALID',
      `DATABASE_URL: the ${settings.address.type} database can not be opened (${failure.message}); check its address, name and user`,
    );
  return failure;
}
