import type { ColumnType } from 'typeorm';

/** The three SQL dialects; MariaDB counts as `mysql`. */
export type Dialect = 'sqlite' | 'postgres' | 'mysql';

/** What a column holds, in words that mean the same in every dialect. */
export type ColumnKind = 'ascii' | 'hash' | 'word' | 'text' | 'integer' | 'bigint' | 'double' | 'boolean';

export interface ColumnDefinition {
  readonly type: ColumnType & string;
  readonly length?: string;
  readonly charset?: string;
  readonly collation?: string;
}

/** Binary collations: ids and names that differ in case only are different ones. */
const MYSQL_ASCII = { charset: 'ascii', collation: 'ascii_bin' } as const;
const MYSQL_TEXT = { charset: 'utf8mb4', collation: 'utf8mb4_bin' } as const;

/** The column definition of a kind. `text` is unlimited: MySQL's own `text` would end at 64 KiB. */
export function columnDefinition(dialect: Dialect, kind: ColumnKind): ColumnDefinition {
  const ascii = dialect === 'mysql' ? MYSQL_ASCII : {};
  const text = dialect === 'mysql' ? MYSQL_TEXT : {};
  switch (kind) {
    case 'ascii':
      return { type: 'varchar', length: '255', ...ascii };
    case 'hash':
      return { type: 'varchar', length: '64', ...ascii };
    case 'word':
      return { type: 'varchar', length: '64', ...ascii };
    case 'text':
      return { type: dialect === 'mysql' ? 'longtext' : 'text', ...text };
    case 'integer':
      return { type: dialect === 'mysql' ? 'int' : 'integer' };
    case 'bigint':
      return { type: 'bigint' };
    case 'double':
      return { type: dialect === 'postgres' ? 'double precision' : 'double' };
    case 'boolean':
      return { type: 'boolean' };
  }
}
