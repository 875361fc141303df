import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Transaction } from '../../../src/database/database.js';
import { DatabaseError } from '../../../src/database/errors.js';
import {
  describeWith,
  createDatabase,
  queryDatabase,
  waitFor,
  type DatabaseEngine,
} from '../../harness/index.js';
import { openDatabase } from '../../integration/database/support.js';

/** What ends our session, and whether it is gone. */
const ENDS = {
  postgres: {
    own: 'SELECT pg_backend_pid() AS id',
    end: (id: number) => `SELECT pg_terminate_backend(${id})`,
    left: (id: number) => `SELECT COUNT(*) AS n FROM pg_stat_activity WHERE pid = ${id}`,
  },
  mariadb: {
    own: 'SELECT connection_id() AS id',
    end: (id: number) => `KILL ${id}`,
    left: (id: number) => `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE id = ${id}`,
  },
} as const;

async function failureOf(
  engine: Exclude<DatabaseEngine, 'sqlite'>,
  after: (tx: Transaction, end: () => Promise<void>) => Promise<unknown>,
): Promise<unknown> {
  const { url } = await createDatabase(engine);
  const database = await openDatabase(url);
  const statements = ENDS[engine];
  return database
    .transaction(async (tx) => {
      const [own] = await tx.manager.query<{ id: number }[]>(statements.own);
      const id = Number(own?.id);
      await after(tx, async () => {
        await queryDatabase({ url }, statements.end(id));
        await waitFor(
          async () => Number((await queryDatabase({ url }, statements.left(id)))[0]?.['n']) === 0,
          {
            what: 'the session to end',
          },
        );
      });
    })
    .catch((error: unknown) => error);
}

const select = (tx: Transaction): Promise<unknown> => tx.manager.query('SELECT 1');

for (const engine of ['postgres', 'mariadb'] as const)
  describeWith(
    [engine],
    `a transaction on ${engine} whose session ends (a stopped process, a restart)`,
    () => {
      it.each<[string, Parameters<typeof failureOf>[1]]>([
        [
          'and the process notices before its next statement',
          async (tx, end) => {
            await end();
            await delay(300);
            await select(tx);
          },
        ],
        [
          'and the process does not notice before its next statement',
          async (tx, end) => {
            const ended = end();
            for (let tries = 0; tries < 500; tries += 1) await select(tx);
            await ended;
          },
        ],
        [
          'and the process notices before its commit',
          async (_tx, end) => {
            await end();
            await delay(300);
          },
        ],
        [
          'in the middle of a statement',
          async (tx, end) =>
            Promise.all([
              tx.manager.query(engine === 'postgres' ? 'SELECT pg_sleep(20)' : 'SELECT sleep(20)'),
              end(),
            ]),
        ],
      ])('%s: transient', async (_name, after) => {
        const error = await failureOf(engine, after);
        expect(error).toBeInstanceOf(DatabaseError);
        expect(error).toMatchObject({ failure: 'transient', code: 'DATABASE_UNAVAILABLE' });
      });
    },
  );
