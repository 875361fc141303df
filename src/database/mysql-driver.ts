import mysql, { type Pool, type PoolConnection, type PoolOptions, type RowDataPacket } from 'mysql2';
import { ConfigurationError } from '../errors.js';
import { STATEMENT_TOO_LONG } from './errors.js';

/** What every session is set to, before it is used for anything. */
export interface MysqlSession {
  readonly lockWaitSeconds: number;
  readonly idleSeconds: number;
}

/**
 * Strict: a text that is too long, or that a column cannot hold, is refused and never cut off. The whole mode is set, so
 * that nothing stays of what the server or `init_connect` gives: under NO_BACKSLASH_ESCAPES a quote in a text would end it.
 */
const SQL_MODE = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';
const CHARACTER_SET = 'utf8mb4';
/** A proxy may share sessions among its clients, and leave other settings behind. */
const PREPARED_FOR_MS = 10_000;

/** `mysql2` as TypeORM opens it: values that no setting of a session can make part of a statement, and sessions that are set. */
export function mysqlDriver(session: MysqlSession): { createPool(options: PoolOptions): Pool } {
  return {
    createPool: (options: PoolOptions) => {
      const packetBytes = new WeakMap<object, number>();
      const pool = mysql.createPool({
        ...options,
        queryFormat(this: object, sql: string, values: unknown) {
          return withinPacket(formatStatement(sql, values), packetBytes.get(this) ?? Infinity);
        },
      });
      const preparedAtMs = new WeakMap<object, number>();
      const getConnection = pool.getConnection.bind(pool);
      pool.getConnection = (done) => {
        getConnection((error, connection) => {
          if (error !== null && error !== undefined) {
            done(error, connection);
            return;
          }
          const isPrepared =
            performance.now() - (preparedAtMs.get(connection) ?? -Infinity) < PREPARED_FOR_MS;
          if (isPrepared) {
            done(null, connection);
            return;
          }
          prepareSession(connection, session).then(
            (maxPacketBytes) => {
              packetBytes.set(connection, maxPacketBytes);
              preparedAtMs.set(connection, performance.now());
              done(null, connection);
            },
            (failure: unknown) => {
              connection.destroy();
              done(failure as NodeJS.ErrnoException, connection);
            },
          );
        });
      };
      return pool;
    },
  };
}

interface SessionRow extends RowDataPacket {
  readonly mode: string;
  readonly packetBytes: number;
}

/**
 * MySQL has no time-out of its own for an idle transaction: `wait_timeout` ends the session of a stopped process, and
 * with it its row locks. Pooled connections are closed by us before that.
 *
 * @returns bytes that the server takes in one packet
 */
async function prepareSession(
  connection: PoolConnection,
  { lockWaitSeconds, idleSeconds }: MysqlSession,
): Promise<number> {
  const session = connection.promise();
  await session.query(
    `SET NAMES ${CHARACTER_SET}, SESSION sql_mode = '${SQL_MODE}', ` +
      `SESSION innodb_lock_wait_timeout = ${lockWaitSeconds}, SESSION wait_timeout = ${idleSeconds}`,
  );
  const [rows] = await session.query<SessionRow[]>(
    `SELECT @@SESSION.sql_mode AS mode, @@SESSION.max_allowed_packet AS packetBytes, @@character_set_client AS client,
            @@character_set_connection AS connection, @@character_set_results AS results`,
  );
  const { mode, packetBytes, ...characterSets } = rows[0] ?? {};
  if (mode !== SQL_MODE) throw notSet(`sql_mode ${SQL_MODE}`);
  if (Object.values(characterSets).some((name) => name !== CHARACTER_SET))
    throw notSet(`the character set ${CHARACTER_SET}`);
  return Number(packetBytes);
}

/** What a packet has besides the statement, with something to spare. */
const PACKET_FRAME_BYTES = 64;

/**
 * A server that is sent more than its `max_allowed_packet` hangs up, often before its error can be read: that looks like an
 * outage, and would be tried again forever. So it is not sent.
 *
 * @param statement in ASCII
 */
function withinPacket(statement: string, maxPacketBytes: number): string {
  if (statement.length + PACKET_FRAME_BYTES <= maxPacketBytes) return statement;
  const error = new Error(
    `a statement of ${statement.length} bytes, max_allowed_packet is ${maxPacketBytes}`,
  );
  throw Object.assign(error, { code: STATEMENT_TOO_LONG });
}

function notSet(what: string): ConfigurationError {
  return new ConfigurationError(
    'CONFIG_INVALID',
    `DATABASE_URL: a session of this database does not keep ${what}; let this program set it (a proxy in between may prevent that)`,
  );
}

/** Printable ASCII without quote and backslash: means the same in quotes, whatever a session's settings are. */
const PLAIN = /^[ -&(-[\]-~]*$/;

/**
 * A statement with its values, in ASCII. A driver that escapes has to know how the server reads escapes, which depends on
 * `sql_mode` and character set. So nothing is escaped here: what could be read in two ways goes as hexadecimal digits.
 */
export function formatStatement(sql: string, values: unknown): string {
  const list = Array.isArray(values) ? (values as unknown[]) : [];
  if (list.length === 0) return sql;
  const parts = sql.split('?');
  if (parts.length !== list.length + 1) throw new TypeError('a statement has as many places as values');
  return parts.map((part, index) => (index === 0 ? part : literal(list[index - 1]) + part)).join('');
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'string')
    return PLAIN.test(value) ? `'${value}'` : `_${CHARACTER_SET} X'${Buffer.from(value).toString('hex')}'`;
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value)))
    return String(value);
  // An object would be written as names and values by other drivers: nothing here has one.
  throw new TypeError(`a value of type ${typeof value} cannot be part of a statement`);
}
