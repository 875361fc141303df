import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { CACHE_DIR, withLock } from '../cache.js';
import { freePort } from '../free-port.js';
import { findExecutable, requireExecutable, runCommand } from '../run-command.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';
import { unprivilegedOwner } from './unprivileged.js';

/** The second one for `my_print_defaults`, which `mariadb-install-db` calls. */
const PACKAGES = ['mariadb-server-core', 'mariadb-client-core'];
const PROGRAMS = ['mariadbd', 'mariadb-install-db', 'my_print_defaults'];

/** What has to be there (or can be installed) for {@link launchMariadb}; fails naming it. */
export function checkMariadbTools(): void {
  if (!canInstall()) requireExecutable('mariadbd', 'MariaDB server');
}

/** MariaDB on 127.0.0.1 with a user `test`, a random password and all rights. About 3 s. */
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

/** Run at every start. No name resolution on the server: the host of an account is its address. */
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
    // Written at each commit, synced every second: a killed process loses nothing, a cut of the power would.
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
 * From Debian's packages, where we may. Only the core packages: they bring the programs, and start no service of the
 * machine's own.
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
      // The lists of packages are missing or too old on a new machine.
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
