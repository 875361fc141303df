import {
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
  type SecretListEntry,
} from '@aws-sdk/client-secrets-manager';
import {
  DescribeParametersCommand,
  GetParameterCommand,
  ListTagsForResourceCommand,
  SSMClient,
} from '@aws-sdk/client-ssm';
import Sqlite from 'better-sqlite3';
import { AWS_CREDENTIALS, AWS_REGION } from '../../harness/index.js';
import type { StoredSecret } from '../../harness/aws-standin/protocol.js';
import type { StoreSecret } from './evidence.js';
import type { StoreSource } from './types.js';

export type OpenToken = (token: string) => string | null;

/** All secrets of a store by their id; null where values are tokens that stay with us. */
export async function readStore(
  manager: string,
  source: StoreSource,
  openToken: OpenToken,
): Promise<ReadonlyMap<string, StoreSecret> | null> {
  switch (source.kind) {
    case 'tokens':
      return null;
    case 'local':
      return byId(readVault(source.file, openToken));
    case 'standin':
      return byId(await readStandin(source.url, manager));
    case 'aws':
      return byId(await readAws(source));
  }
}

function byId(secrets: readonly StoreSecret[]): Map<string, StoreSecret> {
  // What the store remembers of who works on it is no connection's.
  const connections = secrets.filter(({ owner }) => owner !== 'connection-secrets-worker');
  return new Map(connections.map((secret) => [secret.secretId, secret]));
}

async function readStandin(url: string, manager: string): Promise<StoreSecret[]> {
  const response = await fetch(`${url}/standin/secrets`);
  const secrets = (await response.json()) as StoredSecret[];
  const service = manager.endsWith('ssm') ? 'ssm' : 'secretsmanager';
  return secrets
    .filter((secret) => secret.service === service)
    .map(({ secretId, value, version, tags, scheduledForDeletion }) => ({
      secretId,
      value,
      version,
      owner: ownerIn(tags),
      isGone: scheduledForDeletion,
    }));
}

function ownerIn(tags: Readonly<Record<string, string>>): string | null {
  return tags['managed-by'] === 'connection-secrets-worker' ? (tags['connection-id'] ?? null) : null;
}

interface AwsTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

function tagRecord(tags: readonly AwsTag[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));
}

async function readAws(source: Extract<StoreSource, { kind: 'aws' }>): Promise<StoreSecret[]> {
  const config = { endpoint: source.endpoint, region: AWS_REGION, credentials: AWS_CREDENTIALS };
  if (source.service === 'ssm') {
    const client = new SSMClient(config);
    return readParameters(client, source.prefix ?? '').finally(() => client.destroy());
  }
  const client = new SecretsManagerClient(config);
  return readSecrets(client, source.prefix ?? '').finally(() => client.destroy());
}

async function readSecrets(client: SecretsManagerClient, prefix: string): Promise<StoreSecret[]> {
  const found: SecretListEntry[] = [];
  let next: string | undefined;
  do {
    const page = await client.send(
      new ListSecretsCommand({ IncludePlannedDeletion: true, MaxResults: 100, NextToken: next }),
    );
    found.push(...(page.SecretList ?? []).filter(({ Name }) => Name?.startsWith(prefix)));
    next = page.NextToken;
  } while (next !== undefined);
  const secrets: StoreSecret[] = [];
  for (const { Name = '', Tags, DeletedDate } of found) {
    const isGone = DeletedDate !== undefined;
    const current = isGone ? null : await client.send(new GetSecretValueCommand({ SecretId: Name }));
    secrets.push({
      secretId: Name,
      value: current?.SecretString ?? null,
      version: current?.VersionId ?? '',
      owner: ownerIn(tagRecord(Tags)),
      isGone,
    });
  }
  return secrets;
}

async function readParameters(client: SSMClient, prefix: string): Promise<StoreSecret[]> {
  const names: string[] = [];
  let next: string | undefined;
  do {
    const page = await client.send(new DescribeParametersCommand({ MaxResults: 50, NextToken: next }));
    names.push(
      ...(page.Parameters ?? []).map(({ Name }) => Name ?? '').filter((name) => name.startsWith(prefix)),
    );
    next = page.NextToken;
  } while (next !== undefined);
  const secrets: StoreSecret[] = [];
  for (const Name of names) {
    const { Parameter } = await client.send(new GetParameterCommand({ Name, WithDecryption: true }));
    const { TagList } = await client.send(
      new ListTagsForResourceCommand({ ResourceType: 'Parameter', ResourceId: Name }),
    );
    secrets.push({
      secretId: Name,
      value: Parameter?.Value ?? null,
      version: String(Parameter?.Version ?? ''),
      owner: ownerIn(tagRecord(TagList)),
      isGone: false,
    });
  }
  return secrets;
}

interface VaultRow {
  id: string;
  owner: string | null;
  current: number;
  sealed: string | null;
}

/** The file as it lies there, opened with the npm package and not with our codec. */
function readVault(file: string, openToken: OpenToken): StoreSecret[] {
  const database = new Sqlite(file, { readonly: true, fileMustExist: true });
  try {
    const rows = database
      .prepare<[], VaultRow>(
        `SELECT secret.id, owner, current, sealed FROM secret
         LEFT JOIN version ON version.secret_id = secret.id AND version.version = secret.current`,
      )
      .all();
    return rows.map(({ id, owner, current, sealed }) => ({
      secretId: id,
      value: sealed === null ? null : openToken(sealed),
      version: String(current),
      owner,
      isGone: false,
    }));
  } finally {
    database.close();
  }
}
