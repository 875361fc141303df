import { join } from 'node:path';
import { generateKey } from '../../../src/fernet/index.js';
import { tmpDir } from '../../harness/index.js';

/** Stands for every password: it must be in no output but that of `resolve`. */
export const MARKER = 'm4rk3r-s3cr3t-value';

export interface ChangeEventOptions {
  readonly id?: string;
  readonly eventId?: string;
  readonly name?: string;
  readonly password?: string | number | null;
  readonly eventType?: 'entityCreated' | 'entityUpdated';
  readonly timestampMs?: number;
}

export const CONNECTION_ID = '22222222-0000-4000-8000-000000000001';

/** A change event of a MySQL service, as one line. */
export function changeEvent({
  id = CONNECTION_ID,
  eventId = '33333333-0000-4000-8000-000000000001',
  name = 'mysql-test',
  password = MARKER,
  eventType = 'entityCreated',
  timestampMs = 1_790_000_000_000,
}: ChangeEventOptions = {}): string {
  return JSON.stringify({
    id: eventId,
    eventType,
    entityType: 'databaseService',
    entityId: id,
    entityFullyQualifiedName: name,
    currentVersion: 0.1,
    userName: 'admin',
    timestamp: timestampMs,
    entity: {
      id,
      name,
      fullyQualifiedName: name,
      serviceType: 'Mysql',
      version: 0.1,
      updatedAt: timestampMs,
      connection: {
        config: { type: 'Mysql', username: 'reader', password, hostPort: 'mysql.internal:3306' },
      },
    },
  });
}

export interface LocalSetup {
  readonly dir: string;
  readonly databaseFile: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A folder with keys for a SQLite database and a local vault in it; nothing is made yet. */
export function localSetup(): LocalSetup {
  const dir = tmpDir('cli');
  const databaseFile = join(dir, 'worker.sqlite');
  return {
    dir,
    databaseFile,
    env: { FERNET_KEY: generateKey(), SECRET_MANAGER: 'local', DATABASE_URL: `sqlite:${databaseFile}` },
  };
}

export const idOf = (number: number): string => `22222222-0000-4000-8000-${String(number).padStart(12, '0')}`;

export interface Lines {
  /** Default 3. */
  readonly count?: number;
  readonly timestampMs?: number;
  readonly passwordOf?: (number: number) => string | null;
}

/** Events of connections {@link idOf}(0), …, named `mysql-0`, …, with the passwords `MARKER-0`, …; a line each. */
export function lines({ count = 3, timestampMs = 1_790_000_000_000, passwordOf }: Lines = {}): string {
  return Array.from({ length: count }, (_, index) =>
    changeEvent({
      id: idOf(index),
      eventId: `33333333-0000-4000-8000-${String(timestampMs + index).slice(-12)}`,
      name: `mysql-${index}`,
      password: passwordOf === undefined ? `${MARKER}-${index}` : passwordOf(index),
      timestampMs,
    }),
  ).join('\n');
}
