import { Table, type MigrationInterface, type QueryRunner } from 'typeorm';
import { ConfigurationError } from '../src/errors.js';
import { columns, dialectOf, type ColumnSpec } from './columns.js';

interface TableSpec {
  readonly columns: Readonly<Record<string, ColumnSpec>>;
  readonly indices?: Readonly<Record<string, readonly string[]>>;
}

const TABLES: Readonly<Record<string, TableSpec>> = {
  setting: { columns: { name: 'word!', value: 'text' } },
  connection: {
    columns: {
      id: 'ascii!',
      entity_type: 'word?',
      root: 'word?',
      kind: 'word?',
      service_type: 'text?',
      name: 'text?',
      fully_qualified_name: 'text?',
      version: 'double?',
      state: 'word',
      manager: 'word?',
      revision: 'integer',
      operation: 'word?',
      entity: 'text?',
      applied_order: 'text?',
      event_id: 'text?',
      claim_owner: 'word?',
      claim_epoch: 'bigint',
      claim_expires_at_ms: 'bigint',
      created_at_ms: 'bigint',
      updated_at_ms: 'bigint',
    },
  },
  secret_reference: {
    columns: {
      connection_id: 'ascii!',
      path_hash: 'hash!',
      path: 'text',
      pointer: 'text',
      holds: 'word',
      sealed: 'text',
      owned: 'boolean',
      fingerprint: 'hash?',
      reference_hash: 'hash?',
      secret_id: 'text?',
      set_order: 'text',
    },
    indices: { secret_reference_hash: ['reference_hash'] },
  },
  stored_secret: {
    columns: {
      manager: 'word!',
      secret_id_hash: 'hash!',
      secret_id: 'text',
      connection_id: 'ascii',
      state: 'word',
      epoch: 'bigint',
      version: 'text?',
      suspect_until_ms: 'bigint?',
      due_at_ms: 'bigint?',
      updated_at_ms: 'bigint',
    },
    indices: {
      stored_secret_connection: ['connection_id'],
      stored_secret_state: ['state', 'due_at_ms'],
      stored_secret_suspect: ['suspect_until_ms'],
    },
  },
  inbox: {
    columns: {
      event_hash: 'hash!',
      connection_id: 'ascii?',
      event_id: 'text',
      outcome: 'word',
      code: 'word?',
      topic: 'ascii',
      partition_number: 'integer',
      position: 'bigint',
      at_ms: 'bigint',
    },
    indices: { inbox_at: ['at_ms'] },
  },
  outbox: {
    columns: {
      id: 'word!',
      connection_id: 'ascii?',
      stream: 'word',
      revision: 'integer',
      payload: 'text',
      created_at_ms: 'bigint',
      sent_at_ms: 'bigint?',
    },
    indices: {
      outbox_unsent: ['sent_at_ms', 'created_at_ms'],
      outbox_connection: ['connection_id', 'sent_at_ms'],
    },
  },
  dead_letter: {
    columns: {
      event_hash: 'hash!',
      connection_id: 'ascii?',
      state: 'word',
      code: 'word',
      detail: 'text',
      event_id: 'text?',
      topic: 'ascii',
      partition_number: 'integer',
      position: 'bigint',
      event_order: 'text?',
      sets: 'text?',
      payload: 'text',
      attempts: 'integer',
      wait_until_ms: 'bigint?',
      next_attempt_at_ms: 'bigint?',
      created_at_ms: 'bigint',
      updated_at_ms: 'bigint',
    },
    indices: {
      dead_letter_connection: ['connection_id'],
      dead_letter_next_attempt: ['next_attempt_at_ms'],
    },
  },
  audit: {
    columns: {
      id: 'word!',
      at_ms: 'bigint',
      action: 'word',
      actor: 'text?',
      connection_id: 'ascii?',
      path: 'text?',
      secret_id: 'text?',
      event_id: 'text?',
      detail: 'text?',
    },
    indices: { audit_connection: ['connection_id', 'at_ms'], audit_at: ['at_ms'] },
  },
  operation: {
    columns: {
      id: 'word!',
      kind: 'word',
      state: 'word',
      parameters: 'text',
      progress: 'text',
      created_at_ms: 'bigint',
      updated_at_ms: 'bigint',
    },
  },
};

/** All tables of the first version. */
export class Initial1790000000000 implements MigrationInterface {
  readonly name = 'Initial1790000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    const dialect = dialectOf(queryRunner);
    const missing = await missingTables(queryRunner);
    for (const [name, spec] of missing) {
      // With its indices: on MySQL one statement, so that a table is either whole or not there.
      const indices = Object.entries(spec.indices ?? {}).map(([indexName, columnNames]) => ({
        name: indexName,
        columnNames: [...columnNames],
      }));
      await queryRunner.createTable(new Table({ name, columns: columns(dialect, spec.columns), indices }));
    }
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const name of Object.keys(TABLES).reverse()) await queryRunner.dropTable(name, true);
  }
}

/**
 * MySQL and MariaDB commit each table as it is made: where a process died in the middle, some are there, and are kept.
 *
 * @throws ConfigurationError where a table of such a name has other columns: it is somebody else's
 */
async function missingTables(queryRunner: QueryRunner): Promise<[string, TableSpec][]> {
  const missing: [string, TableSpec][] = [];
  for (const [name, spec] of Object.entries(TABLES)) {
    const table = await queryRunner.getTable(name);
    if (table === undefined) missing.push([name, spec]);
    else if (!isOurs(table, spec))
      throw new ConfigurationError(
        'CONFIG_INVALID',
        `DATABASE_URL: the database has a table ${name} that is not this program's; give it a database of its own`,
      );
  }
  return missing;
}

function isOurs(table: Table, { columns: wanted }: TableSpec): boolean {
  const names = Object.keys(wanted);
  return table.columns.length === names.length && table.columns.every(({ name }) => names.includes(name));
}
