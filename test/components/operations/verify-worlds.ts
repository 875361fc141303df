import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  PutSecretValueCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-secrets-manager';
import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  ListTagsForResourceCommand,
  PutParameterCommand,
  RemoveTagsFromResourceCommand,
} from '@aws-sdk/client-ssm';
import Sqlite from 'better-sqlite3';
import { runProgram } from '../../../src/cli/program.js';
import { KeyRing } from '../../../src/fernet/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { awsClients, disposeLater, freshName, tmpDir, usePart } from '../../harness/index.js';
import { Bench } from '../secrets/fixture.js';
import type { Settings } from './rotation.js';

export const KEYS = {
  FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=',
  DEAD_LETTER_FERNET_KEY: 'AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=',
};

/** A store as somebody with a console of his own changes it. */
export interface Console {
  readonly env: Settings;
  change(id: string, value: string): Promise<void>;
  create(id: string, value: string, connectionId: string | null): Promise<void>;
  /** At once, without a way back. */
  remove(id: string): Promise<void>;
  tag(id: string, connectionId: string | null): Promise<void>;
  owner(id: string): Promise<string | null>;
}

const TAG = { managed: 'managed-by', connection: 'connection-id', us: 'connection-secrets-worker' };
const tagsFor = (connectionId: string) => [
  { Key: TAG.managed, Value: TAG.us },
  { Key: TAG.connection, Value: connectionId },
];

function secretsManager(url: string): Console {
  const { secretsManager: client, env } = awsClients(url);
  return {
    env: { ...env, SECRET_MANAGER: 'managed-aws' },
    change: async (SecretId, SecretString) => {
      await client.send(
        new PutSecretValueCommand({ SecretId, SecretString, ClientRequestToken: randomUUID() }),
      );
    },
    create: async (Name, SecretString, connectionId) => {
      const Tags = connectionId === null ? [] : tagsFor(connectionId);
      await client.send(
        new CreateSecretCommand({ Name, SecretString, Tags, ClientRequestToken: randomUUID() }),
      );
    },
    remove: async (SecretId) => {
      await client.send(new DeleteSecretCommand({ SecretId, ForceDeleteWithoutRecovery: true }));
    },
    tag: async (SecretId, connectionId) => {
      if (connectionId === null)
        await client.send(new UntagResourceCommand({ SecretId, TagKeys: [TAG.managed, TAG.connection] }));
      else await client.send(new TagResourceCommand({ SecretId, Tags: tagsFor(connectionId) }));
    },
    owner: async (SecretId) => {
      const { Tags = [] } = await client.send(new DescribeSecretCommand({ SecretId }));
      return Tags.find(({ Key }) => Key === TAG.connection)?.Value ?? null;
    },
  };
}

function parameterStore(url: string): Console {
  const { ssm: client, env } = awsClients(url);
  const resource = (ResourceId: string) => ({ ResourceType: 'Parameter' as const, ResourceId });
  return {
    env: { ...env, SECRET_MANAGER: 'managed-aws-ssm' },
    change: async (Name, Value) => {
      await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Overwrite: true }));
    },
    create: async (Name, Value, connectionId) => {
      const Tags = connectionId === null ? [] : tagsFor(connectionId);
      await client.send(new PutParameterCommand({ Name, Value, Type: 'SecureString', Tags }));
    },
    remove: async (Name) => {
      await client.send(new DeleteParameterCommand({ Name }));
    },
    tag: async (id, connectionId) => {
      if (connectionId === null)
        await client.send(
          new RemoveTagsFromResourceCommand({ ...resource(id), TagKeys: [TAG.managed, TAG.connection] }),
        );
      else await client.send(new AddTagsToResourceCommand({ ...resource(id), Tags: tagsFor(connectionId) }));
    },
    owner: async (id) => {
      const { TagList = [] } = await client.send(new ListTagsForResourceCommand(resource(id)));
      return TagList.find(({ Key }) => Key === TAG.connection)?.Value ?? null;
    },
  };
}

function vault(): Console {
  const file = join(tmpDir('vault'), 'v.vault');
  const keys = KeyRing.parse('k', KEYS.FERNET_KEY);
  const on = <T>(work: (database: Sqlite.Database) => T): Promise<T> => {
    const database = new Sqlite(file);
    database.pragma('foreign_keys = ON');
    try {
      return Promise.resolve(database.transaction(work)(database));
    } finally {
      database.close();
    }
  };
  const addVersion = (database: Sqlite.Database, id: string, value: string) =>
    database
      .prepare('INSERT INTO version (secret_id, client_token, sealed) VALUES (?, ?, ?)')
      .run(id, randomUUID(), keys.seal(value)).lastInsertRowid;
  return {
    env: { SECRET_MANAGER: 'local', LOCAL_VAULT_FILE: file },
    change: (id, value) =>
      on((database) => {
        database
          .prepare('UPDATE secret SET current = ? WHERE id = ?')
          .run(addVersion(database, id, value), id);
      }),
    create: (id, value, connectionId) =>
      on((database) => {
        database
          .prepare('INSERT INTO secret (id, owner, current) VALUES (?, ?, ?)')
          .run(id, connectionId, addVersion(database, id, value));
      }),
    remove: (id) =>
      on((database) => {
        database.prepare('DELETE FROM secret WHERE id = ?').run(id);
      }),
    tag: (id, connectionId) =>
      on((database) => {
        database.prepare('UPDATE secret SET owner = ? WHERE id = ?').run(connectionId, id);
      }),
    owner: (id) =>
      on((database) =>
        database.prepare<[string], string | null>('SELECT owner FROM secret WHERE id = ?').pluck().get(id),
      ).then((owner) => owner ?? null),
  };
}

export const CONSOLES = {
  local: () => Promise.resolve({ console: vault(), standin: null }),
  'Secrets Manager, the stand-in': () => onStandin(secretsManager),
  'Parameter Store, the stand-in': () => onStandin(parameterStore),
  'Secrets Manager, moto': () => Promise.resolve({ console: secretsManager(usePart('moto')), standin: null }),
  'Parameter Store, moto': () => Promise.resolve({ console: parameterStore(usePart('moto')), standin: null }),
} satisfies Record<string, () => Promise<{ console: Console; standin: AwsStandin | null }>>;
export type ConsoleName = keyof typeof CONSOLES;

async function onStandin(open: (url: string) => Console) {
  const standin = await startAwsStandin();
  disposeLater(() => standin.close());
  return { console: open(standin.url), standin };
}

export interface FoundFinding {
  readonly kind: string;
  readonly state: string;
  readonly connectionId: string | null;
  readonly path: string | null;
  readonly secretId: string | null;
  readonly detail: string;
}

export interface VerifyAnswer {
  readonly ok: boolean;
  readonly checked: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, number>>;
  readonly findings: readonly FoundFinding[];
  readonly deadLetters: readonly Readonly<Record<string, unknown>>[];
}

/** A command of the program in this process: starting one takes longer than the rest. */
export async function runHere(args: readonly string[], env: Settings) {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const code = await runProgram(args, { env, ...streams });
  const textOf = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? '';
  return { code, stdout: textOf(streams.stdout), stderr: textOf(streams.stderr) };
}

/** A worker with a store, and the program's `verify` on both. */
export class VerifyWorld {
  readonly cluster = freshName('cl').toLowerCase();

  private constructor(
    readonly bench: Bench,
    readonly console: Console,
    readonly standin: AwsStandin | null,
    private readonly env: Settings,
    cluster: string,
  ) {
    this.cluster = cluster;
  }

  static async open(name: ConsoleName, more: Settings = {}): Promise<VerifyWorld> {
    const { console, standin } = await CONSOLES[name]();
    const cluster = freshName('cl').toLowerCase();
    const env = { ...KEYS, ...console.env, OPENMETADATA_CLUSTER_NAME: cluster, ...more };
    const bench = await Bench.open(env);
    return new VerifyWorld(bench, console, standin, env, cluster);
  }

  /** The id of a service's password. */
  id(name: string): string {
    return `/${this.cluster}/database/${name}/password`;
  }

  envOf(more: Settings = {}): Record<string, string> {
    return { ...this.env, DATABASE_URL: this.bench.url, ...more };
  }

  /** Without flags it only reads, also beside the bench; where it writes the bench's worker is ended on SQLite. */
  async verify(...flags: string[]) {
    const writes = flags.some((flag) => ['--repair', '--accept', '--restore'].includes(flag));
    const repairs = writes && this.bench.url.startsWith('sqlite');
    if (repairs) await this.bench.close();
    const result = await runHere(['verify', '--json', '--reads-per-second', '1000', ...flags], this.envOf());
    if (repairs) await this.bench.restart();
    const answer = result.stdout === '' ? null : (JSON.parse(result.stdout) as VerifyAnswer);
    return {
      ...result,
      answer,
      kinds: (answer?.findings ?? []).map(({ kind, state }) => `${kind}: ${state}`),
    };
  }
}
