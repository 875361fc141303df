import { WorkerError } from '../errors.js';

/** What a failed statement means for its caller. */
export type DatabaseFailure =
  /** Passing: the same transaction may be sent again. Whether a lost one was committed is not known. */
  | 'transient'
  /** Rolled back because of somebody else's transaction: send it again at once. */
  | 'contention'
  /** Rolled back because a session of somebody else keeps a row locked: send it again later. */
  | 'locked'
  /** Somebody else inserted the same key first. */
  | 'unique'
  /** The database refuses this statement as such. */
  | 'refused';

/** Driver codes: https://www.postgresql.org/docs/current/errcodes-appendix.html, MariaDB's and SQLite's by name. */
const CONTENTION = new Set(['40001', '40P01', 'ER_LOCK_DEADLOCK', 'ER_CHECKREAD']);
const LOCKED = new Set(['55P03', 'ER_LOCK_WAIT_TIMEOUT']);
/** Looks like a broken connection, but is one statement's own size: tried again it fails again. */
export const STATEMENT_TOO_LONG = 'ER_NET_PACKET_TOO_LARGE';
const UNIQUE = new Set(['23505', 'ER_DUP_ENTRY', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_CONSTRAINT_UNIQUE']);
/** The login is refused: host, user, password or the database's own rules for who may come from where. */
const LOGIN_REFUSED = new Set(['28P01', '28000', 'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR']);
/** The user is known and lacks a right. No event's fault: it is held until somebody grants it. */
const RIGHT_MISSING = new Set([
  ...[
    '42501',
    'ER_TABLEACCESS_DENIED_ERROR',
    'ER_COLUMNACCESS_DENIED_ERROR',
    'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  ],
]);
/** PostgreSQL's protocol violation; at the beginning of a session it is a pooler that refuses our start-up parameters. */
const STARTUP_REFUSED = '08P01';

interface Explained {
  readonly what: string;
  readonly remedy: string;
}

/** What a person has to do whom no repetition helps; null: the code alone says it. */
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
 * What drivers, pools and TypeORM say without a code when the server has gone. TypeORM gives a connection back as soon as
 * it hears of its end, in the middle of a transaction: what follows there finds it released, or without a transaction.
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
 * The error of a failed database call as it leaves this folder: driver errors quote statements and parameters, so only
 * the driver's code goes on.
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

  /** The same, saying where. */
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
