import pg from 'pg';
import mysql from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  queryDatabase,
  startMariadb,
  startPostgres,
  untilDown,
  untilReady,
  type PartHandle,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { startCommitProxy, type CommitProxy } from '../../harness/tcp-proxy.js';
import { Calm, Rig, secretIdOf } from './rig.js';

type Engine = 'postgres' | 'mariadb';

/** Makes every change of one connection's row fail as a full disk does, in the engine's own words. */
const DISK_FULL: Readonly<Record<Engine, (id: string) => readonly string[]>> = {
  postgres: (id) => [
    `CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100'; END $$`,
    `CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE ON connection FOR EACH ROW WHEN (NEW.id = '${id}') EXECUTE FUNCTION disk_full()`,
  ],
  mariadb: (id) => [
    `CREATE TRIGGER disk_full BEFORE UPDATE ON connection FOR EACH ROW BEGIN IF NEW.id = '${id}' THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021; END IF; END`,
  ],
};
const DISK_FREE: Readonly<Record<Engine, string>> = {
  postgres: 'DROP TRIGGER disk_full ON connection',
  mariadb: 'DROP TRIGGER disk_full',
};

/** A session of somebody else, which holds the row of a connection until it is released. */
async function holdRow(engine: Engine, url: string, id: string): Promise<() => Promise<void>> {
  const sql = `SELECT id FROM connection WHERE id = '${id}' FOR UPDATE`;
  if (engine === 'postgres') {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    disposeLater(() => client.end());
    await client.query('BEGIN');
    await client.query(sql);
    return async () => {
      await client.query('ROLLBACK');
    };
  }
  const connection = await mysql.createConnection({ uri: url });
  disposeLater(() => connection.destroy());
  await connection.query('BEGIN');
  await connection.query(sql);
  return async () => {
    await connection.query('ROLLBACK');
  };
}

function describeEngine(engine: Engine, kafka: string): void {
  let server: PartHandle;
  let standin: AwsStandin;
  let proxy: CommitProxy;
  let rig: Rig;

  beforeAll(async () => {
    server = await (engine === 'postgres' ? startPostgres() : startMariadb());
    standin = await startAwsStandin();
    disposeLater(() => standin.close());
    const database = await createDatabase(engine, server.address);
    const proxied = await startCommitProxy(database.url);
    proxy = proxied.proxy;
    const { env } = awsClients(standin.url);
    rig = await Rig.open({
      ...{ brokers: kafka, databaseUrl: database.url, manager: 'managed-aws' },
      env: { ...env, DATABASE_URL: proxied.url },
    });
    await rig.startReady();
  });

  const valueOf = (name: string): string | null | undefined =>
    standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value;

  it.each(['before', 'after'] as const)(
    'a connection cut in COMMIT, %s it took effect: applied once',
    async (when) => {
      const name = freshName('cut');
      const cut = proxy.cutCommit(/INSERT INTO .secret_reference./, when);
      const password = await rig.publish(name);
      await cut;
      await rig.applied(name);
      await untilReady(rig.url);
      expect(valueOf(name)).toBe(password);
      const outcome = when === 'after' ? '"duplicate"' : '"applied"';
      await rig.worker.waitForLine((line) => line.includes(outcome) && line.includes(name), {
        timeoutMs: 60_000,
      });
    },
  );

  it('a row that somebody else keeps locked: its partition is paused, the other goes on', async () => {
    const name = freshName('locked');
    await rig.publish(name);
    await rig.applied(name);
    const release = await holdRow(engine, rig.databaseUrl, name);
    const calm = await Calm.since(rig);
    const password = await rig.publish(name);
    await untilDown(rig.url, 'consumer', 'DATABASE_UNAVAILABLE');
    await rig.expectOthersGoOn(1);
    await calm.expectCalm(6);
    await release();
    await rig.applied(name);
    await untilReady(rig.url);
    expect(valueOf(name)).toBe(password);
  });

  it('a full disk: its partition is paused, the other goes on', async () => {
    const name = freshName('full');
    await rig.publish(name);
    await rig.applied(name);
    for (const statement of DISK_FULL[engine](name)) await rig.query(statement);
    const calm = await Calm.since(rig);
    const password = await rig.publish(name);
    await untilDown(rig.url, 'consumer', 'DATABASE_UNAVAILABLE');
    await rig.expectOthersGoOn(1);
    await calm.expectCalm(6);
    await rig.query(DISK_FREE[engine]);
    await rig.applied(name);
    await untilReady(rig.url);
    expect(valueOf(name)).toBe(password);
  });

  it('a restart, in an orderly way and by SIGKILL, in the middle of the work', async () => {
    for (const how of ['stop', 'kill'] as const) {
      const names = Array.from({ length: 6 }, () => freshName(how));
      const publishing = Promise.all(names.map((name, at) => rig.publish(name, { partition: at % 2 })));
      await rig.worker.waitForLine((line) => line.includes('"applied"') && line.includes(`${how}-`));
      await server[how]();
      const calm = await Calm.since(rig);
      await publishing;
      await untilDown(rig.url, 'database', 'DATABASE_UNAVAILABLE');
      await rig.publish(names[0]!);
      // Readiness of two parts, one line for each partition, each task and each kind of failure.
      await calm.expectCalm(14);
      await server.start();
      for (const name of names) await rig.applied(name);
      await untilReady(rig.url);
    }
  });

  it('has lost nothing over all of that, in one process', async () => {
    await rig.expectNothingLost();
    const pending = await queryDatabase({ url: rig.databaseUrl }, 'SELECT code FROM dead_letter');
    expect(pending).toEqual([]);
    expect((await rig.worker.stop()).code).toBe(0);
  });
}

describeWith(['kafka'], 'the database fails', ({ kafka }) => {
  describeWithOwn(['postgres'], 'postgres', () => {
    describeEngine('postgres', kafka);
  });
  describeWithOwn(['mariadb'], 'mariadb', () => {
    describeEngine('mariadb', kafka);
  });
});
