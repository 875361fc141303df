import { randomBytes } from 'node:crypto';
import { chownSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../free-port.js';
import { requireExecutable, runCommand } from '../run-command.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';
import { unprivilegedOwner } from './unprivileged.js';

/** Where Debian has the server's programs, outside of PATH. Newest version first. */
function debianFolders(): string[] {
  const root = '/usr/lib/postgresql';
  try {
    return readdirSync(root)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(root, version, 'bin'));
  } catch {
    return [];
  }
}

function tools(): { initdb: string; postgres: string } {
  const folders = debianFolders();
  return {
    initdb: requireExecutable('initdb', 'PostgreSQL server', folders),
    postgres: requireExecutable('postgres', 'PostgreSQL server', folders),
  };
}

/** Throws an error that names what {@link launchPostgres} needs and is not installed. */
export function checkPostgresTools(): void {
  tools();
}

/** Starts PostgreSQL on 127.0.0.1 with one superuser `test` and a random password. About 2 s. */
export async function launchPostgres(): Promise<PartHandle> {
  const { initdb, postgres } = tools();
  const owner = unprivilegedOwner(['postgres', 'nobody']);
  const dataDir = makeDataDir('postgres', owner);
  const password = randomBytes(12).toString('hex');
  const passwordFile = join(dataDir, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (owner !== undefined) chownSync(passwordFile, owner.uid, owner.gid);
  const cluster = join(dataDir, 'cluster');
  await runCommand(
    initdb,
    [
      ...['-D', cluster, '-U', 'test', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale=C', '--no-sync'],
    ],
    { cwd: dataDir, ...owner },
  );
  rmSync(passwordFile);
  const port = await freePort();
  const address = `postgres://test:${password}@127.0.0.1:${port}/postgres`;
  return LocalPart.launch({
    part: 'postgres',
    address,
    dataDir,
    command: postgres,
    args: ['-D', cluster, ...settings(port, dataDir)],
    owner,
    // SIGINT is the "fast" shutdown. SIGTERM would wait for every client to leave.
    stopSignal: 'SIGINT',
    answers: () => postgresAnswers(address),
  });
}

function settings(port: number, socketDir: string): string[] {
  return Object.entries({
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: socketDir,
    // Tests kill processes and do not cut the power, so nothing is lost without it.
    fsync: 'off',
    synchronous_commit: 'on',
    max_connections: 200,
    shared_buffers: '64MB',
    log_min_messages: 'warning',
    log_statement: 'none',
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function postgresAnswers(address: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: address, connectionTimeoutMillis: 5_000 });
  // If the server goes away while we ask, it has not started yet.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } finally {
    await client.end();
  }
}
