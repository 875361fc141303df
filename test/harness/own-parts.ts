import { disposeLater } from './cleanup.js';
import type { PartName } from './names.js';
import { LAUNCHERS } from './parts.js';
import type { PartHandle } from './parts/local-part.js';

/** Starts a Kafka broker for this test alone (about 6 s). It ends with the test or the file. */
export const startKafka = (): Promise<PartHandle> => start('kafka');
/** Starts a PostgreSQL for this test alone (about 2 s). It ends with the test or the file. */
export const startPostgres = (): Promise<PartHandle> => start('postgres');
/** Starts a MariaDB for this test alone (about 3 s). It ends with the test or the file. */
export const startMariadb = (): Promise<PartHandle> => start('mariadb');
/** Starts a moto for this test alone (about 2 s). It ends with the test or the file. After a restart it is empty. */
export const startMoto = (): Promise<PartHandle> => start('moto');

async function start(part: PartName): Promise<PartHandle> {
  const handle = await LAUNCHERS[part]();
  disposeLater(() => handle.dispose());
  return handle;
}
