import { TableIndex, type MigrationInterface, type QueryRunner } from 'typeorm';

interface Index {
  readonly table: string;
  readonly name: string;
  readonly columnNames: string[];
}

const BEFORE: readonly Index[] = [
  { table: 'dead_letter', name: 'dead_letter_connection', columnNames: ['connection_id'] },
];
const AFTER: readonly Index[] = [
  {
    table: 'dead_letter',
    name: 'dead_letter_connection_order',
    columnNames: ['connection_id', 'created_at_ms', 'event_hash'],
  },
  { table: 'stored_secret', name: 'stored_secret_hash', columnNames: ['secret_id_hash'] },
];

/**
 * Kept events of a connection in their order: of thousands, only the first are read for each event. Secrets by their
 * name, whatever manager they are in: asked for before each write.
 */
export class Lookups1791000500000 implements MigrationInterface {
  readonly name = 'Lookups1791000500000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await replaceIndices(queryRunner, BEFORE, AFTER);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await replaceIndices(queryRunner, AFTER, BEFORE);
  }
}

/** MySQL and MariaDB commit each statement at once: if a process died between two, the next one goes on from there. */
async function replaceIndices(
  queryRunner: QueryRunner,
  before: readonly Index[],
  after: readonly Index[],
): Promise<void> {
  const hasIndex = async ({ table, name }: Index): Promise<boolean> =>
    (await queryRunner.getTable(table))?.indices.some((index) => index.name === name) ?? false;
  for (const index of after)
    if (!(await hasIndex(index))) await queryRunner.createIndex(index.table, new TableIndex(index));
  for (const index of before) if (await hasIndex(index)) await queryRunner.dropIndex(index.table, index.name);
}
