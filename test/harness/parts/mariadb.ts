import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { CACHE_DIR, withLock } from '../cache.js';
import { freePort } from '../free-port.js';
import { findExecutable, requireExecutable, runCommand } from '../run-command.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';
import { unprivilegedOwner } from './unprivileged.js';

/** The second one has `my_print_defaults`, which `mariadb-install-db` calls. */
const PACKAGES = ['mariadb-server-core', 'mariadb-client-core'];
const PROGRAMS = ['mariadbd', 'mariadb-install-db', 'my_print_defaults'];

/** Throws an error that names what {@link launchMariadb} needs, if it is not installed and cannot be. */
export function checkMariadbTools(): void {
  if (!canInstall()) requireExecutable('mariadbd', 'MariaDB server');
}

/** Starts MariaDB on 127.0.0.1 with a user `test`, a random password and all rights. About 3 s. */
export async function launchMariadb(): Promise<PartHandle> {
  await installIfMissing();
  const mariadbd = requireExecutable('mariadbd', 'MariaDB server');
  const installDb = requireExecutable('mariadb-install-db', 'MariaDB server');
  const owner = unprivilegedOwner(['mysql', 'nobody']);
  const dataDir = makeDataDir('mariadb', owner);
  const data = join(dataDir, 'data');
  await runCommand(
    installDb,
    ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db'],
    { cwd: dataDir, ...owner },
  );
  const password = randomBytes(12).toString('hex');
  const initFile = join(dataDir, 'init.sql');
  writeFileSync(initFile, INIT_SQL.replaceAll('$password', password));
  chmodSync(initFile, 0o644);
  const port = await freePort();
  const address = `mysql://test:${password}@127.0.0.1:${port}/mysql`;
  return LocalPart.launch({
    part: 'mariadb',
    address,
    dataDir,
    command: mariadbd,
    args: ['--no-defaults', ...settings(port, dataDir, data), `--init-file=${initFile}`],
    owner,
    answers: () => mariadbAnswers(address),
  });
}

/** Runs at every start. The server resolves no names, so the host of an account is an address. */
const INIT_SQL = `CREATE USER IF NOT EXISTS 'test'@'127.0.0.1' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'test'@'127.0.0.1' WITH GRANT OPTION;
`;

function settings(port: number, dataDir: string, data: string): string[] {
  return [
    `--datadir=${data}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--socket=${join(dataDir, 'socket')}`,
    `--pid-file=${join(dataDir, 'pid')}`,
    '--skip-name-resolve',
    '--max-connections=300',
    '--innodb-buffer-pool-size=128M',
    '--innodb-log-file-size=64M',
    // Writes at each commit and syncs every second: only a power cut loses data, a killed process does not.
    '--innodb-flush-log-at-trx-commit=2',
    '--skip-log-bin',
    '--log-warnings=1',
  ];
}

function isInstalled(): boolean {
  return PROGRAMS.every((program) => findExecutable(program) !== undefined);
}

function canInstall(): boolean {
  return process.getuid?.() === 0 && findExecutable('apt-get') !== undefined;
}

/**
 * Installs Debian's packages if we may. Only the core packages: they have the programs and start no service.
 */
async function installIfMissing(): Promise<void> {
  if (isInstalled() || !canInstall()) return;
  mkdirSync(CACHE_DIR, { recursive: true });
  await withLock(join(CACHE_DIR, 'apt.lock'), async () => {
    if (isInstalled()) return;
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const wait = ['-q', '-o', 'DPkg::Lock::Timeout=300'];
    const install = [...wait, 'install', '-y', '--no-install-recommends', ...PACKAGES];
    try {
      await runCommand('apt-get', install, { env });
    } catch {
      // On a new machine the lists of packages are missing or too old.
      await runCommand('apt-get', [...wait, 'update'], { env });
      await runCommand('apt-get', install, { env });
    }
  });
}

async function mariadbAnswers(address: string): Promise<boolean> {
  const connection = await mysql.createConnection({ uri: address, connectTimeout: 5_000 });
  try {
    await connection.query('SELECT 1');
    return true;
  } finally {
    connection.destroy();
  }
}
