import type { MigrationInterface, QueryRunner } from 'typeorm';
import { dialectOf } from './columns.js';

/**
 * Which fields an event changed. By statements of its own: where a table is made again to get a column (SQLite), a long
 * audit would be copied.
 */
export class AuditEvents1791000200000 implements MigrationInterface {
  readonly name = 'AuditEvents1791000200000';

  async up(queryRunner: QueryRunner): Promise<void> {
    // MySQL and MariaDB commit this statement at once: where a process died after it, the column is there.
    if (await queryRunner.hasColumn('audit', 'fields')) return;
    const type =
      dialectOf(queryRunner) === 'mysql' ? 'longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' : 'text';
    await queryRunner.query(`ALTER TABLE audit ADD COLUMN fields ${type} NULL`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    if (await queryRunner.hasColumn('audit', 'fields'))
      await queryRunner.query('ALTER TABLE audit DROP COLUMN fields');
  }
}
