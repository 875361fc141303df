import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PROJECT_DIR } from '../cache.js';
import { freePort } from '../free-port.js';
import { ADDRESS_VARIABLES, type PartName } from '../names.js';
import { forget, keep } from '../reaper.js';
import { findExecutable, runCommand } from '../run-command.js';

/** A part in a container. Tests cannot stop or kill its process. */
interface ContainerPart {
  readonly part: PartName;
  readonly address: string;
  dispose(): Promise<void>;
}

interface Recipe {
  readonly service: string;
  readonly portVariable: string;
  readonly address: (port: number, password: string) => string;
}

const RECIPES: Record<PartName, Recipe> = {
  kafka: { service: 'kafka', portVariable: 'KAFKA_PORT', address: (port) => `127.0.0.1:${port}` },
  postgres: {
    service: 'postgres',
    portVariable: 'POSTGRES_PORT',
    address: (port, password) => `postgres://worker:${password}@127.0.0.1:${port}/postgres`,
  },
  mariadb: {
    service: 'mysql',
    portVariable: 'MYSQL_PORT',
    address: (port, password) => `mysql://root:${password}@127.0.0.1:${port}/mysql`,
  },
  moto: { service: 'moto', portVariable: 'MOTO_PORT', address: (port) => `http://127.0.0.1:${port}` },
};

/** Whether a Docker engine answers and has Compose. `TEST_PARTS_DOCKER=off` says no. */
export async function dockerAnswers(): Promise<boolean> {
  if (process.env.TEST_PARTS_DOCKER === 'off' || findExecutable('docker') === undefined) return false;
  try {
    await runCommand('docker', ['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 10_000 });
    await runCommand('docker', ['compose', 'version'], { timeoutMs: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts one service of docker-compose.yml in a new Compose project, on a free port. It does not touch your own Compose
 * project. Its data are removed at the end.
 */
export async function composePart(part: PartName): Promise<ContainerPart> {
  const { service, portVariable, address } = RECIPES[part];
  const port = await freePort();
  const password = randomBytes(12).toString('hex');
  const project = `csw-test-${part}-${randomBytes(4).toString('hex')}`;
  const base = ['compose', '-p', project, '-f', join(PROJECT_DIR, 'docker-compose.yml')];
  const env = { ...process.env, [portVariable]: String(port), DATABASE_PASSWORD: password };
  const remove = ['compose', '-p', project, 'down', '--volumes', '--timeout', '2'];
  keep({ command: ['docker', ...remove] });
  const dispose = async (): Promise<void> => {
    await runCommand('docker', remove);
    forget({ command: ['docker', ...remove] });
  };
  try {
    await runCommand('docker', [...base, 'up', '--detach', '--wait', service], { env });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { part, address: address(port, password), dispose };
}

/** The address of a part in its environment variable, if set. */
export function givenAddress(part: PartName, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const address = env[ADDRESS_VARIABLES[part]]?.trim();
  return address === '' ? undefined : address;
}
