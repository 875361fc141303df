import type { QueryRunner, TableColumnOptions } from 'typeorm';
import { columnDefinition, type ColumnKind, type Dialect } from '../src/database/dialect.js';

export function dialectOf(queryRunner: QueryRunner): Dialect {
  const { type } = queryRunner.dataSource.options;
  switch (type) {
    case 'postgres':
      return 'postgres';
    case 'mysql':
    case 'mariadb':
      return 'mysql';
    default:
      return 'sqlite';
  }
}

/** Column of a migration: `?` after the kind makes it nullable, `!` makes it part of the primary key. */
export type ColumnSpec = `${ColumnKind}${'' | '?' | '!'}`;

export function columns(dialect: Dialect, specs: Readonly<Record<string, ColumnSpec>>): TableColumnOptions[] {
  return Object.entries(specs).map(([name, spec]) => ({
    name,
    ...columnDefinition(dialect, spec.replace(/[?!]$/, '') as ColumnKind),
    isNullable: spec.endsWith('?'),
    isPrimary: spec.endsWith('!'),
  }));
}
