import { WorkerError } from '../errors.js';

/** What a failed statement means for its caller. */
export type DatabaseFailure =
  /** The same transaction may be run again. If the connection was lost during its COMMIT, it may have been committed. */
  | 'transient'
  /** Rolled back because of a conflict with another transaction: run it again at once. */
  | 'contention'
  /** Rolled back because another session keeps a row locked: run it again later. */
  | 'locked'
  /** Another transaction inserted the same key first. */
  | 'unique'
  /** The database refuses this statement itself; running it again does not help. */
  | 'refused';

/** Driver codes: https://www.postgresql.org/docs/current/errcodes-appendix.html, MariaDB's and SQLite's by name. */
const CONTENTION = new Set(['40001', '40P01', 'ER_LOCK_DEADLOCK', 'ER_CHECKREAD']);
const LOCKED = new Set(['55P03', 'ER_LOCK_WAIT_TIMEOUT']);
/** Looks like a broken connection, but the statement is too long: it fails again each time. */
export const STATEMENT_TOO_LONG = 'ER_NET_PACKET_TOO_LARGE';
const UNIQUE = new Set(['23505', 'ER_DUP_ENTRY', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_CONSTRAINT_UNIQUE']);
/** The login is refused: host, user, password or the database's own rules for who may come from where. */
const LOGIN_REFUSED = new Set(['28P01', '28000', 'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR']);
/** The database user lacks a right. That is no event's fault, so events wait until an operator grants it. */
const RIGHT_MISSING = new Set([
  ...[
    '42501',
    'ER_TABLEACCESS_DENIED_ERROR',
    'ER_COLUMNACCESS_DENIED_ERROR',
    'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  ],
]);
/** PostgreSQL's protocol violation. At the start of a session it means that a pooler refuses our start-up parameters. */
const STARTUP_REFUSED = '08P01';

interface Explained {
  readonly what: string;
  readonly remedy: string;
}

/** What is wrong and what the operator has to do, if repeating does not help. Null: there is nothing to add to the code. */
function explain(driverCode: string | null): Explained | null {
  if (driverCode === null) return null;
  if (LOGIN_REFUSED.has(driverCode))
    return {
      what: 'the login was refused',
      remedy: 'Check user, password and database name in DATABASE_URL, and from where that user may log in.',
    };
  if (RIGHT_MISSING.has(driverCode))
    return {
      what: 'the user of DATABASE_URL lacks a right',
      remedy:
        'Grant it SELECT, INSERT, UPDATE and DELETE on all tables; with DATABASE_MIGRATE=auto also the right to create and alter them.',
    };
  if (driverCode === STARTUP_REFUSED)
    return {
      what: 'the start of the session was refused',
      remedy:
        'Behind pgbouncer: set ignore_startup_parameters = lock_timeout,statement_timeout,idle_in_transaction_session_timeout there, and the three for the user by ALTER ROLE … SET (1s, 20s, 10s).',
    };
  return null;
}

/** Classes of PostgreSQL: connection, resources (disk full), operator intervention, system errors. */
const TRANSIENT_CLASSES = ['08', '53', '57', '58', '25', '28'];
const TRANSIENT =
  /^(SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|PROTOCOL|NOMEM)|PROTOCOL_|ER_(DISK_FULL|RECORD_FILE_FULL|SERVER_SHUTDOWN|CON_COUNT_ERROR|TOO_MANY_USER_CONNECTIONS|QUERY_INTERRUPTED|CONNECTION_KILLED|OPTION_PREVENTS_STATEMENT|OUT_OF_RESOURCES|ERROR_ON_WRITE|ACCESS_DENIED|USER_LIMIT|NET_|READ_ONLY_MODE|LOCK_TABLE_FULL|OUTOFMEMORY|ENGINE_OUT_OF_MEMORY|TOO_MANY_CONCURRENT_TRXS|QUERY_TIMEOUT|NEW_ABORTING_CONNECTION|STATEMENT_TIMEOUT|UNKNOWN_COM)|E[A-Z]+$)/;
/**
 * Messages without a code from drivers, pools and TypeORM when the server is gone. TypeORM releases a connection as soon as
 * it ends, even within a transaction: the next statement there fails because it is released or has no transaction.
 */
const LOST_CONNECTION =
  /connection (terminated|ended|timeout)|Query read timeout|after calling end on the pool|timeout exceeded when trying to connect|timeout expired|Connection lost|closed state|not queryable|Pool is closed|connect ETIMEDOUT|Driver not Connected|query runner (was )?already released|Transaction is not started yet/i;

function codeOf(error: unknown): string | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 4; depth += 1) {
    if ('code' in current && typeof current.code === 'string') return current.code;
    current = 'driverError' in current ? current.driverError : current.cause;
  }
  return null;
}

export function failureOf(error: unknown): DatabaseFailure {
  const code = codeOf(error);
  if (code !== null) {
    if (CONTENTION.has(code)) return 'contention';
    if (LOCKED.has(code)) return 'locked';
    if (UNIQUE.has(code)) return 'unique';
    if (code === STATEMENT_TOO_LONG) return 'refused';
    if (TRANSIENT.test(code) || explain(code) !== null) return 'transient';
    if (/^[0-9A-Z]{5}$/.test(code) && TRANSIENT_CLASSES.includes(code.slice(0, 2))) return 'transient';
    return 'refused';
  }
  return error instanceof Error && LOST_CONNECTION.test(error.message) ? 'transient' : 'refused';
}

/**
 * The only error of a failed database call that leaves this folder. Driver errors quote statements and parameters, so it
 * carries only the driver's code.
 */
export class DatabaseError extends WorkerError {
  override readonly name = 'DatabaseError';
  readonly failure: DatabaseFailure;
  readonly #driverCode: string | null;

  /** @param where host, database and user: never a password */
  constructor(failure: DatabaseFailure, driverCode: string | null, where: string | null = null) {
    const what = explain(driverCode)?.what ?? (failure === 'refused' ? 'statement refused' : failure);
    super(
      failure === 'refused' ? 'INTERNAL' : 'DATABASE_UNAVAILABLE',
      `database${where === null ? '' : ` ${where}`}: ${what} (${driverCode ?? 'no driver code'})`,
    );
    this.failure = failure;
    this.#driverCode = driverCode;
  }

  override get remedy(): string {
    return explain(this.#driverCode)?.remedy ?? super.remedy;
  }

  /** The same error, naming the database. */
  at(where: string): DatabaseError {
    return new DatabaseError(this.failure, this.#driverCode, where);
  }
}

export function asDatabaseError(error: unknown): Error {
  if (error instanceof WorkerError) return error;
  return isFromDriver(error) ? new DatabaseError(failureOf(error), codeOf(error)) : (error as Error);
}

/** Errors of our own code inside a transaction (a defect) pass through unchanged; they carry no statement. */
function isFromDriver(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const ours = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return !ours || codeOf(error) !== null;
}
