import { TableIndex, type MigrationInterface, type QueryRunner } from 'typeorm';
import { dialectOf } from './columns.js';

const INDEX = { name: 'connection_unpublished', columnNames: ['unpublished_since_ms'] };

/**
 * A connection's newest secured event is made from its row, which says since when it waits to be published. What earlier
 * versions have left unsent stays in the outbox.
 */
export class OutboxOnDemand1791000700000 implements MigrationInterface {
  readonly name = 'OutboxOnDemand1791000700000';

  /** MySQL and MariaDB commit each statement at once: where a process died between two, it goes on there. */
  async up(queryRunner: QueryRunner): Promise<void> {
    // First of all: workers of an earlier version would overtake a revision that has no row in the outbox.
    await endTransactionsOfBefore(queryRunner);
    const text =
      dialectOf(queryRunner) === 'mysql' ? 'longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' : 'text';
    await addColumn(queryRunner, 'secured_from', text);
    await addColumn(queryRunner, 'unpublished_since_ms', 'bigint');
    const table = await queryRunner.getTable('connection');
    if (table?.indices.some(({ name }) => name === INDEX.name) !== true)
      await queryRunner.createIndex('connection', new TableIndex(INDEX));
  }

  /** Only where nothing is unpublished: see `revertSchema`. */
  async down(queryRunner: QueryRunner): Promise<void> {
    const table = await queryRunner.getTable('connection');
    if (table?.indices.some(({ name }) => name === INDEX.name) === true)
      await queryRunner.dropIndex('connection', INDEX.name);
    for (const column of ['unpublished_since_ms', 'secured_from'])
      if (await queryRunner.hasColumn('connection', column))
        await queryRunner.query(`ALTER TABLE connection DROP COLUMN ${column}`);
  }
}

async function addColumn(queryRunner: QueryRunner, name: string, type: string): Promise<void> {
  if (!(await queryRunner.hasColumn('connection', name)))
    await queryRunner.query(`ALTER TABLE connection ADD COLUMN ${name} ${type} NULL`);
}

/** Each of their transactions asks for this epoch: they end with MANAGER_MISMATCH, and a start with SCHEMA_TOO_NEW. */
async function endTransactionsOfBefore(queryRunner: QueryRunner): Promise<void> {
  const rows = (await queryRunner.query(`SELECT value FROM setting WHERE name = 'manager_epoch'`)) as {
    value: string;
  }[];
  for (const { value } of rows)
    await queryRunner.query(
      `UPDATE setting SET value = '${String(Number(value) + 1)}' WHERE name = 'manager_epoch'`,
    );
}
