import type { MigrationInterface, QueryRunner } from 'typeorm';
import { dialectOf } from './columns.js';

/**
 * The keyed digest of a reference's row. Rows that are there get theirs at the first start, which has the key
 * (`database/reference-digests.ts`); before this is undone, `revertSchema` takes back that they have it.
 */
export class ReferenceDigest1791000300000 implements MigrationInterface {
  readonly name = 'ReferenceDigest1791000300000';

  async up(queryRunner: QueryRunner): Promise<void> {
    // MySQL and MariaDB commit this statement at once: where a process died after it, the column is there.
    if (await queryRunner.hasColumn('secret_reference', 'digest')) return;
    const charset = dialectOf(queryRunner) === 'mysql' ? 'CHARACTER SET ascii COLLATE ascii_bin' : '';
    await queryRunner.query(`ALTER TABLE secret_reference ADD COLUMN digest varchar(64) ${charset} NULL`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    if (await queryRunner.hasColumn('secret_reference', 'digest'))
      await queryRunner.query('ALTER TABLE secret_reference DROP COLUMN digest');
  }
}
