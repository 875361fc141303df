import { join } from 'node:path';
import { cached } from '../cache.js';
import { freePort } from '../free-port.js';
import { requireExecutable, runCommand } from '../run-command.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';

const MOTO_VERSION = '5.2.5';
const PACKAGES = [`moto[secretsmanager,ssm]==${MOTO_VERSION}`, 'flask==3.1.3', 'flask-cors==6.0.5'];

/** Throws an error that names what {@link launchMoto} needs and is not installed. */
export function checkMotoTools(): void {
  requireExecutable('python3', 'Python 3 with venv and pip');
}

/** Starts moto, an emulator of AWS, on 127.0.0.1. Its data are in memory. About 2 s. */
export async function launchMoto(): Promise<PartHandle> {
  checkMotoTools();
  const venv = await cached(`moto-${MOTO_VERSION}`, installMoto);
  const dataDir = makeDataDir('moto');
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  return LocalPart.launch({
    part: 'moto',
    address,
    dataDir,
    command: join(venv, 'bin', 'python'),
    args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
    env: { PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' },
    answers: () => motoAnswers(address),
  });
}

async function motoAnswers(address: string): Promise<boolean> {
  const response = await fetch(`${address}/moto-api/data.json`, { signal: AbortSignal.timeout(5_000) });
  return response.ok;
}

async function installMoto(dir: string): Promise<void> {
  await runCommand('python3', ['-m', 'venv', dir]);
  await runCommand(join(dir, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
}
