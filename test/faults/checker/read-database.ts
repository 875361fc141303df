import { queryDatabase } from '../../harness/index.js';
import type { DatabaseEvidence, InboxEvidence, MissedEvidence } from './evidence.js';

type Row = Readonly<Record<string, unknown>>;
/** Called with every row of every table, as text. */
export type SeeRow = (table: string, text: string, connectionId: string | null) => void;

const PAGE_ROWS = 5_000;
/** Primary keys, to read a table in pages. A table that is not named here is small. */
const KEYS: Readonly<Record<string, string>> = {
  connection: 'id',
  secret_reference: 'connection_id, path_hash',
  stored_secret: 'manager, secret_id_hash',
  inbox: 'event_hash',
  outbox: 'id',
  dead_letter: 'event_hash',
  audit: 'id',
};

/** Reads a whole database with a plain driver: what the judges need, and each row once for `see`. */
export async function readDatabase(url: string, see: SeeRow): Promise<DatabaseEvidence> {
  const kept: Record<string, Row[]> = {};
  for (const table of await tableNames(url)) kept[table] = await readTable(url, table, see);
  const of = <T>(table: string, convert: (row: Row) => T): T[] => (kept[table] ?? []).map(convert);
  return {
    connections: of('connection', connection),
    references: of('secret_reference', (row) => ({
      connectionId: String(row['connection_id']),
      pointer: String(row['pointer']),
      owned: isTrue(row['owned']),
      secretId: textOrNull(row['secret_id']),
    })),
    stored: of('stored_secret', (row) => ({
      manager: String(row['manager']),
      secretId: String(row['secret_id']),
      connectionId: String(row['connection_id']),
      state: String(row['state']),
      version: textOrNull(row['version']),
      isSuspect: row['suspect_until_ms'] !== null,
    })),
    inbox: of('inbox', inboxRow),
    outbox: of('outbox', (row) => ({
      connectionId: textOrNull(row['connection_id']),
      stream: String(row['stream']),
      revision: Number(row['revision']),
      isSent: row['sent_at_ms'] !== null,
    })),
    deadLetters: of('dead_letter', (row) => ({
      eventHash: String(row['event_hash']),
      connectionId: textOrNull(row['connection_id']),
      eventId: textOrNull(row['event_id']),
      state: String(row['state']),
      code: String(row['code']),
    })),
    missed: of('audit', missed).flat(),
  };
}

/** Columns that are only looked at, not kept: they are long. */
const UNKEPT = ['payload', 'sealed'];

async function readTable(url: string, table: string, see: SeeRow): Promise<Row[]> {
  const name = url.startsWith('mysql') ? `\`${table}\`` : `"${table}"`;
  const key = KEYS[table];
  const rows: Row[] = [];
  for (let offset = 0; ; offset += PAGE_ROWS) {
    const page = key === undefined ? '' : ` ORDER BY ${key} LIMIT ${PAGE_ROWS} OFFSET ${offset}`;
    const read = await queryDatabase({ url }, `SELECT * FROM ${name}${page}`);
    for (const row of read) {
      see(table, textOf(row), textOrNull(row['connection_id'] ?? null));
      rows.push(Object.fromEntries(Object.entries(row).filter(([column]) => !UNKEPT.includes(column))));
    }
    if (key === undefined || read.length < PAGE_ROWS) return rows;
  }
}

async function tableNames(url: string): Promise<string[]> {
  const sql = url.startsWith('postgres')
    ? `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`
    : url.startsWith('mysql')
      ? 'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()'
      : `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`;
  return (await queryDatabase({ url }, sql)).map((row) => String(row['name'] ?? row['NAME']));
}

function connection(row: Row) {
  const order = jsonOrNull(row['applied_order']) as { timestampMs: number; version: number | null } | null;
  return {
    id: String(row['id']),
    state: String(row['state']),
    version: row['version'] === null ? null : Number(row['version']),
    revision: Number(row['revision']),
    isPublished: row['unpublished_since_ms'] === null,
    manager: textOrNull(row['manager']),
    entity: jsonOrNull(row['entity']),
    orderTimestampMs: order?.timestampMs ?? null,
    orderVersion: order?.version ?? null,
  };
}

export function inboxRow(row: Row): InboxEvidence {
  return {
    eventHash: String(row['event_hash']),
    connectionId: textOrNull(row['connection_id']),
    eventId: String(row['event_id']),
    outcome: String(row['outcome']),
  };
}

/** From the audit, as an operator reads it. */
export function missed(row: Row): MissedEvidence[] {
  if (row['action'] !== 'miss') return [];
  const found = /^(\S+)\/(\d+): offsets (\d+) to (-?\d+) .*?: (.*)$/.exec(String(row['detail']));
  if (found === null) throw new RangeError(`an audit row of missed records says: ${String(row['detail'])}`);
  const [, topic = '', partition, from, last, what = ''] = found;
  const reason = what.includes('created again') ? 'recreated' : 'expired';
  return [{ topic, partition: Number(partition), reason, from: Number(from), to: Number(last) + 1 }];
}

function textOf(row: Row): string {
  return Object.values(row)
    .map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value)))
    .join('\n');
}

function textOrNull(value: unknown): string | null {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return typeof value === 'string' ? value : null;
}

function jsonOrNull(value: unknown): unknown {
  return typeof value === 'string' ? JSON.parse(value) : null;
}

/** PostgreSQL: a boolean; SQLite and MySQL: a number. */
function isTrue(value: unknown): boolean {
  return value === true || value === 1;
}
