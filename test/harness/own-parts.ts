import { disposeLater } from './cleanup.js';
import type { PartName } from './names.js';
import { LAUNCHERS } from './parts.js';
import type { PartHandle } from './parts/local-part.js';

/** A Kafka broker of this test's own (about 6 s), ended with the test or the file. */
export const startKafka = (): Promise<PartHandle> => start('kafka');
/** A PostgreSQL of this test's own (about 2 s), ended with the test or the file. */
export const startPostgres = (): Promise<PartHandle> => start('postgres');
/** A MariaDB of this test's own (about 3 s), ended with the test or the file. */
export const startMariadb = (): Promise<PartHandle> => start('mariadb');
/** A moto of this test's own (about 2 s), ended with the test or the file. A restarted one is empty. */
export const startMoto = (): Promise<PartHandle> => start('moto');

async function start(part: PartName): Promise<PartHandle> {
  const handle = await LAUNCHERS[part]();
  disposeLater(() => handle.dispose());
  return handle;
}
