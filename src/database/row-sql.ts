import type { EntitySchema, ObjectLiteral } from 'typeorm';
import type { Transaction } from './database.js';
import type { Dialect } from './dialect.js';

/** Most values in one `IN (…)`: below every driver's limit of parameters (SQLite: 32,766; PostgreSQL: 65,535). */
const VALUES_A_STATEMENT = 5_000;
/** Most rows in one statement: below the same limit, times the number of columns. */
const ROWS_A_STATEMENT = 400;
/** Most characters in one statement: MySQL's `max_allowed_packet` limits its bytes, and may be as low as 16 MB. */
const CHARACTERS_A_STATEMENT = 1_000_000;

/** Splits a list into parts that are short enough for one `IN (…)`. */
export function* valueChunks<T>(values: readonly T[]): Generator<T[]> {
  for (let start = 0; start < values.length; start += VALUES_A_STATEMENT)
    yield values.slice(start, start + VALUES_A_STATEMENT);
}

/** Splits rows into groups that fit into one statement. A row that is too long goes alone, so only it can fail. */
export function* rowChunks<T extends object>(rows: readonly T[]): Generator<T[]> {
  let chunk: T[] = [];
  let characters = 0;
  for (const row of rows) {
    const more = charactersOf(row);
    if (
      chunk.length > 0 &&
      (chunk.length === ROWS_A_STATEMENT || characters + more > CHARACTERS_A_STATEMENT)
    ) {
      yield chunk;
      chunk = [];
      characters = 0;
    }
    chunk.push(row);
    characters += more;
  }
  if (chunk.length > 0) yield chunk;
}

function charactersOf(row: object): number {
  return Object.values(row).reduce<number>(
    (sum, value: unknown) => sum + (typeof value === 'string' ? value.length : 0),
    0,
  );
}

interface Column {
  readonly property: string;
  readonly name: string;
  /** The name in quotes. */
  readonly sql: string;
  /** PostgreSQL's element type for an array of its values. */
  readonly arrayType: string;
  toDatabase(value: unknown): unknown;
  fromDatabase(value: unknown): unknown;
}

interface Table {
  readonly sql: string;
  readonly columns: readonly Column[];
  readonly key: readonly Column[];
}

/** What to do with a row whose key exists already: replace the existing row, leave the new one out, or fail. */
type OnConflict = 'replace' | 'ignore' | 'fail';

interface Selection<T, K extends keyof T & string> {
  /** The column has one of these values. */
  readonly where: readonly [column: keyof T & string, values: readonly string[]];
  /** A further condition, in SQL that the database understands. */
  readonly and?: string;
  /** Default: all columns. */
  readonly columns?: readonly K[];
  readonly orderBy?: readonly (keyof T & string)[];
  /** Locks the rows for the rest of the transaction, in the order of `orderBy`. */
  readonly forUpdate?: boolean;
}

/**
 * Inserts many rows with few statements. In PostgreSQL (arrays) and SQLite (one prepared statement, run for each row) their
 * text does not depend on the number of rows. TypeORM's query builder takes longer over a group of events than the database
 * does; tables, columns and conversions still come from TypeORM's entities.
 */
export async function insertRows<T extends ObjectLiteral>(
  tx: Transaction,
  entity: EntitySchema<T>,
  rows: readonly T[],
  onConflict: OnConflict = 'fail',
): Promise<void> {
  if (rows.length === 0) return;
  const table = tableOf(tx, entity);
  if (tx.dialect === 'sqlite') {
    const sql = insertSql(tx.dialect, table, onConflict, 1);
    for (const row of rows) await tx.manager.query(sql, valuesOf(table, row));
    return;
  }
  for (const chunk of rowChunks(rows))
    await tx.manager.query(
      insertSql(tx.dialect, table, onConflict, chunk.length),
      tx.dialect === 'postgres'
        ? table.columns.map((column) => chunk.map((row) => valueOf(column, row)))
        : chunk.flatMap((row) => valuesOf(table, row)),
    );
}

export async function selectRows<T extends ObjectLiteral, K extends keyof T & string = keyof T & string>(
  tx: Transaction,
  entity: EntitySchema<T>,
  { where: [property, values], and, columns, orderBy = [], forUpdate = false }: Selection<T, K>,
): Promise<Pick<T, K>[]> {
  const { manager, dialect } = tx;
  const table = tableOf(tx, entity);
  const column = (name: string): Column => columnOf(table, name);
  const chosen = columns === undefined ? table.columns : columns.map(column);
  const found: Pick<T, K>[] = [];
  for (const chunk of valueChunks(values)) {
    const sql = [
      `SELECT ${namesOf(chosen)} FROM ${table.sql} WHERE ${oneOf(dialect, column(property).sql, chunk.length)}`,
      ...(and === undefined ? [] : [`AND ${and}`]),
      ...(orderBy.length === 0 ? [] : [`ORDER BY ${namesOf(orderBy.map(column))}`]),
      ...(forUpdate && dialect !== 'sqlite' ? ['FOR UPDATE'] : []),
    ].join(' ');
    const parameters = dialect === 'postgres' ? [chunk] : chunk;
    const rows = await manager.query<Record<string, unknown>[]>(sql, parameters);
    found.push(...rows.map((row) => fromRow(chosen, row) as Pick<T, K>));
  }
  return found;
}

interface Update<T> {
  /** The column has one of these values. */
  readonly where: readonly [column: keyof T & string, values: readonly string[]];
  /** New values by column. */
  readonly set?: Partial<T>;
  /** SQL expressions for new values, by column. */
  readonly sql?: Partial<Record<keyof T & string, string>>;
}

/** Sets the same new values in all these rows. */
export async function updateRows<T extends ObjectLiteral>(
  tx: Transaction,
  entity: EntitySchema<T>,
  { where: [property, values], set = {}, sql = {} }: Update<T>,
): Promise<void> {
  const { manager, dialect } = tx;
  const table = tableOf(tx, entity);
  const given = Object.keys(set).map((name) => columnOf(table, name));
  const place = (index: number): string => (dialect === 'postgres' ? `$${index + 2}` : '?');
  const assignments = [
    ...given.map((column, index) => `${column.sql} = ${place(index)}`),
    ...Object.entries(sql).map(
      ([name, expression]) => `${columnOf(table, name).sql} = ${String(expression)}`,
    ),
  ].join(', ');
  const parameters = given.map((column) => valueOf(column, set));
  for (const chunk of valueChunks(values))
    await manager.query(
      `UPDATE ${table.sql} SET ${assignments} WHERE ${oneOf(dialect, columnOf(table, property).sql, chunk.length)}`,
      dialect === 'postgres' ? [chunk, ...parameters] : [...parameters, ...chunk],
    );
}

/** The quoted name of a table, for use in a statement. */
export function tableName<T extends ObjectLiteral>(tx: Transaction, entity: EntitySchema<T>): string {
  return tableOf(tx, entity).sql;
}

/** SQL condition: the column has one of `count` values. PostgreSQL takes them as one array, the others one by one. */
export function oneOf(dialect: Dialect, column: string, count: number): string {
  return dialect === 'postgres' ? `${column} = ANY($1)` : `${column} IN (${places(count)})`;
}

function places(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ');
}

function namesOf(columns: readonly Column[]): string {
  return columns.map(({ sql }) => sql).join(', ');
}

function insertSql(
  dialect: Dialect,
  { sql, columns, key }: Table,
  conflict: OnConflict,
  count: number,
): string {
  const into = `INSERT INTO ${sql} (${namesOf(columns)})`;
  const rows =
    dialect === 'postgres'
      ? `SELECT * FROM unnest(${columns.map(({ arrayType }, index) => `$${index + 1}::${arrayType}[]`).join(', ')})`
      : `VALUES ${Array.from({ length: count }, () => `(${places(columns.length)})`).join(', ')}`;
  return `${into} ${rows}${conflictSql(dialect, columns, key, conflict)}`;
}

function conflictSql(
  dialect: Dialect,
  columns: readonly Column[],
  key: readonly Column[],
  conflict: OnConflict,
): string {
  if (conflict === 'fail') return '';
  const isMysql = dialect === 'mysql';
  const others = columns.filter((column) => !key.includes(column));
  const set = conflict === 'ignore' ? key : others;
  const assignments = set
    .map(({ sql }) => `${sql} = ${isMysql ? `VALUES(${sql})` : `excluded.${sql}`}`)
    .join(', ');
  if (isMysql) return ` ON DUPLICATE KEY UPDATE ${assignments}`;
  return ` ON CONFLICT (${namesOf(key)}) DO ${conflict === 'ignore' ? 'NOTHING' : `UPDATE SET ${assignments}`}`;
}

function valuesOf({ columns }: Table, row: ObjectLiteral): unknown[] {
  return columns.map((column) => valueOf(column, row));
}

function valueOf(column: Column, row: ObjectLiteral): unknown {
  return column.toDatabase((row[column.property] as unknown) ?? null);
}

function fromRow(columns: readonly Column[], row: Record<string, unknown>): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  for (const column of columns) made[column.property] = column.fromDatabase(row[column.name]);
  return made;
}

const TABLES = new WeakMap<object, Table>();

function tableOf<T extends ObjectLiteral>({ manager }: Transaction, entity: EntitySchema<T>): Table {
  const known = TABLES.get(entity);
  if (known !== undefined) return known;
  const { dataSource } = manager;
  const quoted = (name: string): string => dataSource.driver.escape(name);
  const metadata = dataSource.getMetadata(entity);
  const columns = metadata.columns.map(({ propertyName, databaseName, type, transformer }): Column => {
    const conversion = Array.isArray(transformer) ? undefined : transformer;
    const isBoolean = type === 'boolean';
    return {
      property: propertyName,
      name: databaseName,
      sql: quoted(databaseName),
      arrayType: type === 'varchar' ? 'text' : String(type),
      toDatabase: (value) => (conversion === undefined ? value : (conversion.to(value) as unknown)),
      fromDatabase: isBoolean
        ? (value) => value === true || value === 1
        : (value) => (conversion === undefined ? value : (conversion.from(value) as unknown)),
    };
  });
  const key = columns.filter(({ property }) =>
    metadata.primaryColumns.some(({ propertyName }) => propertyName === property),
  );
  const table = { sql: metadata.tablePath.split('.').map(quoted).join('.'), columns, key };
  TABLES.set(entity, table);
  return table;
}

function columnOf({ columns }: Table, property: string): Column {
  const found = columns.find((column) => column.property === property);
  if (found === undefined) throw new TypeError(`no column ${property}`);
  return found;
}
