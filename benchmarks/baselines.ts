import { randomUUID } from 'node:crypto';
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import pg from 'pg';
import { recordOf } from './events.js';
import { measured, type Load, type Run } from './measure.js';

const EVENTS_A_COMMIT = 200;

/** The least work that our tables need: rows of their shape, as arrays, one transaction for many events. */
export function rawGroupCommit(databaseUrl: string, load: Load): Promise<Run> {
  return rawCommits(databaseUrl, load, EVENTS_A_COMMIT);
}

/** The obvious way: one transaction for each event, one event after another. */
export function naiveLoop(databaseUrl: string, load: Load): Promise<Run> {
  return rawCommits(databaseUrl, load, 1);
}

async function rawCommits(databaseUrl: string, { events, connections }: Load, size: number): Promise<Run> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  await client.query(`
    CREATE TABLE raw_connection (id text PRIMARY KEY, name text, entity text, revision integer, updated bigint);
    CREATE TABLE raw_reference (id text, path_hash text, path text, sealed text, fingerprint text, PRIMARY KEY (id, path_hash));
    CREATE TABLE raw_inbox (event_hash text PRIMARY KEY, id text, event_id text, at bigint);
    CREATE TABLE raw_outbox (id text PRIMARY KEY, connection_id text, payload text, sent bigint);
    CREATE TABLE raw_audit (id text PRIMARY KEY, connection_id text, action text, at bigint)`);
  const run = await measured(events, async () => {
    for (let first = 0; first < events; first += size) {
      const indexes = Array.from({ length: Math.min(size, events - first) }, (_, at) => first + at);
      const ids = indexes.map((index) => `connection-${index % connections}`);
      const texts = indexes.map((index) => (recordOf(index, connections).value ?? '').toString());
      const hashes = indexes.map((index) => `${index}`.padStart(64, '0'));
      const uuids = indexes.map(() => randomUUID());
      await client.query('BEGIN');
      await client.query(
        `INSERT INTO raw_connection SELECT DISTINCT ON (id) * FROM unnest($1::text[], $1::text[], $2::text[], $3::int[], $3::bigint[]) AS t (id, name, entity, revision, updated)
         ON CONFLICT (id) DO UPDATE SET entity = excluded.entity, revision = excluded.revision, updated = excluded.updated`,
        [ids, texts, indexes],
      );
      await client.query(
        `INSERT INTO raw_reference SELECT DISTINCT ON (id) * FROM unnest($1::text[], $1::text[], $1::text[], $2::text[], $2::text[]) AS t (id, hash, path, sealed, fingerprint)
         ON CONFLICT (id, path_hash) DO UPDATE SET sealed = excluded.sealed, fingerprint = excluded.fingerprint`,
        [ids, hashes],
      );
      await client.query(
        'INSERT INTO raw_inbox SELECT * FROM unnest($1::text[], $2::text[], $1::text[], $3::bigint[])',
        [hashes, ids, indexes],
      );
      await client.query(
        'INSERT INTO raw_outbox SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])',
        [uuids, ids, texts, indexes],
      );
      await client.query(
        'INSERT INTO raw_audit SELECT * FROM unnest($1::text[], $2::text[], $1::text[], $3::bigint[])',
        [uuids, ids, indexes],
      );
      await client.query('COMMIT');
    }
  });
  await client.end();
  return { ...run, statements: null };
}

/** Writes one value for each event by the SDK in a loop, and records nothing. */
export async function bareSdk(
  env: Readonly<Record<string, string>>,
  { events, connections, lanes }: Load,
): Promise<Run> {
  const client = new SecretsManagerClient({
    region: env['OM_SM_REGION'] ?? '',
    endpoint: env['AWS_ENDPOINT_URL'] ?? '',
    credentials: {
      accessKeyId: env['OM_SM_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: env['OM_SM_ACCESS_KEY'] ?? '',
    },
    requestHandler: new NodeHttpHandler({
      httpsAgent: { maxSockets: lanes },
      httpAgent: { maxSockets: lanes },
    }),
  });
  const indexes = Array.from({ length: events }, (_, index) => index).values();
  const run = await measured(events, () =>
    Promise.all(
      Array.from({ length: lanes }, async () => {
        for (const index of indexes) {
          const name = `bare-${lanes}-${index % connections}`;
          const SecretString = `value-${index}`;
          await (index < connections
            ? client.send(
                new CreateSecretCommand({ Name: name, SecretString, ClientRequestToken: randomUUID() }),
              )
            : client.send(
                new PutSecretValueCommand({ SecretId: name, SecretString, ClientRequestToken: randomUUID() }),
              ));
        }
      }),
    ),
  );
  client.destroy();
  return { ...run, statements: null };
}
