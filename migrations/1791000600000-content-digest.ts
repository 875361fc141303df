import type { MigrationInterface, QueryRunner } from 'typeorm';
import { dialectOf } from './columns.js';

const COLUMNS = ['digest', 'opened_digest'];

/** What an event's content was, beside its id. Rows that are there keep none: what comes again for them is a duplicate. */
export class ContentDigest1791000600000 implements MigrationInterface {
  readonly name = 'ContentDigest1791000600000';

  async up(queryRunner: QueryRunner): Promise<void> {
    const charset = dialectOf(queryRunner) === 'mysql' ? 'CHARACTER SET ascii COLLATE ascii_bin' : '';
    for (const column of COLUMNS)
      // MySQL and MariaDB commit each statement at once: where a process died after one, its column is there.
      if (!(await queryRunner.hasColumn('inbox', column)))
        await queryRunner.query(`ALTER TABLE inbox ADD COLUMN ${column} varchar(64) ${charset} NULL`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const column of COLUMNS)
      if (await queryRunner.hasColumn('inbox', column))
        await queryRunner.query(`ALTER TABLE inbox DROP COLUMN ${column}`);
  }
}
