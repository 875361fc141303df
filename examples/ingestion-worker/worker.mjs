#!/usr/bin/env node
/**
 * An ingestion worker: keeps one pool per PostgreSQL connection of `connection.secured`, with the password that it got
 * from the store, and makes a new one when an event says that the connection has changed.
 *
 *     node examples/ingestion-worker/worker.mjs
 *
 * Environment: KAFKA_BROKERS, and how to reach the store (docs/ingestion.md). Ends with Ctrl-C.
 */
import pg from 'pg';
import {
  createResolver,
  ingestionFromEnv,
  reveal,
  subscribeSecured,
  UnresolvedReferenceError,
} from '@connection-secrets/ingestion';

const settings = ingestionFromEnv(process.env);
const resolver = createResolver(settings.resolver);
const pools = new Map();

const subscription = subscribeSecured({ ...settings.subscription, resolver }, async ({ event, resolve }) => {
  const { connectionId, name, revision, serviceType, operation } = event;
  if (serviceType !== 'Postgres' && !pools.has(connectionId)) return;
  if (operation === 'deleted' || operation === 'softDeleted') {
    await replace(connectionId, null);
    console.log(`${name ?? connectionId} revision ${revision}: disconnected`);
    return;
  }
  const entity = await resolve().catch((error) => {
    // If the store is down, the event is delivered again later. If the password is gone, only a newer event helps.
    if (!(error instanceof UnresolvedReferenceError && error.isFinal)) throw error;
    console.log(`${name} revision ${revision}: skipped, ${error.code}`);
    return null;
  });
  if (entity === null) return;
  const { connection } = entity;
  const pool = open(connection.config);
  try {
    const { rows } = await pool.query('SELECT current_user AS user');
    await replace(connectionId, pool);
    console.log(`${name} revision ${revision}: logged in as ${rows[0].user}`);
  } catch (error) {
    await pool.end();
    // PostgreSQL's own code, such as 28P01 for a wrong password: texts of drivers stay out of logs.
    console.log(`${name} revision ${revision}: ${error.code ?? 'failed'}, trying again`);
    throw error;
  }
});

function open(config) {
  const { username, authType, hostPort, database } = reveal(config);
  const [host, port] = hostPort.split(':');
  const pool = new pg.Pool({
    host,
    port: Number(port),
    user: username,
    password: authType.password,
    database,
  });
  // The next query notices a server that went away.
  pool.on('error', () => undefined);
  return pool;
}

async function replace(connectionId, pool) {
  const before = pools.get(connectionId);
  if (pool === null) pools.delete(connectionId);
  else pools.set(connectionId, pool);
  await before?.end();
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await subscription.stop();
    await resolver.close();
    for (const pool of pools.values()) await pool.end();
    console.log('stopped');
  });
}
console.log('waiting for connections');
