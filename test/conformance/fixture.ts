import { randomUUID } from 'node:crypto';
import type {
  PutItem,
  SecretsManager,
  SecretStore,
  StoreCall,
  StoreError,
  StoreResult,
} from '../../src/secrets-managers/port.js';
import { readProviderValues, type AnyManagerSettings } from '../../src/secrets-managers/providers.js';
import { SecretValue } from '../../src/secret-value.js';
import type { Owner } from '../../src/secrets-managers/ownership.js';
import type { Installation, Reference } from '../../src/terms.js';
import { TEST_INSTALLATION } from '../harness/ownership.js';

/** A key of the tests' own. */
export const TEST_KEY = 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=';

const BASE_TEXTS: Readonly<Record<string, string | undefined>> = {
  OM_SM_REGION: 'eu-west-1',
  OM_SM_ACCESS_KEY_ID: 'testing',
  OM_SM_ACCESS_KEY: 'testing',
  AWS_SM_RECOVERY_WINDOW_DAYS: '7',
  LOCAL_VAULT_FILE: '/nonexistent/vault',
};

/** What a store under test is opened with. */
export function testSettings(
  texts: Readonly<Record<string, string | undefined>> = {},
  more: Partial<AnyManagerSettings> = {},
): AnyManagerSettings {
  return {
    values: readProviderValues({ ...BASE_TEXTS, ...texts }),
    databaseFile: null,
    installation: TEST_INSTALLATION,
    tags: [{ key: 'team', value: 'metadata' }],
    requestTimeoutMs: 5_000,
    ...more,
  };
}

/** What the suite needs of a provider under test. */
export interface Fixture {
  readonly manager: SecretsManager;
  /** moto changes the value of a secret that is scheduled for deletion, which the service itself refuses. */
  readonly isLaxOnScheduled?: boolean;
  /** `restore` makes the recorded version itself current again; otherwise its value becomes a new version. */
  readonly restoresSameVersion: boolean;
  /** How many writes a new secret is. Default 1. */
  readonly writesANewSecret?: number;
  /** Puts a secret there that is not ours. */
  placeUnowned(secretId: string, value: string): Promise<void>;
  /** A secret with the tags of another installation, or of version 0.1 (null), read and written past our adapters. */
  placeOwned(secretId: string, value: string, owner: Owner): Promise<void>;
  /** Whom the tags of a secret name, read past our adapters. */
  ownerOf(secretId: string): Promise<Owner | null>;
  /** The same store, as another installation works on it. */
  as(installation: Installation): Promise<SecretStore>;
  close(): Promise<void>;
}

export interface CountedCall extends StoreCall {
  /** How many writes were admitted. */
  readonly admitted: () => number;
}

export function storeCall(
  options: { signal?: AbortSignal; admit?: (count: number) => void } = {},
): CountedCall {
  let count = 0;
  return {
    signal: options.signal ?? new AbortController().signal,
    admitWrite: () => {
      count += 1;
      options.admit?.(count);
      return Promise.resolve();
    },
    admitted: () => count,
  };
}

export const OTHER_INSTALLATION: Installation = { id: 'b10c0ffe-0000-4000-8000-000000000002', tagged: 'all' };

export const CONNECTION = '6f1c2a8e-3b7d-4a55-9c01-1f2e3d4c5b6a';
export const OTHER_CONNECTION = '0a9b8c7d-6e5f-4d3c-8b2a-190817263544';

let lastId = 0;
const run = randomUUID().slice(0, 8);

/** An id nobody has used, also on a server that several runs share. */
export function freshId(field = 'password'): string {
  lastId += 1;
  return `/openmetadata/database/c${run}_${lastId}/${field}`;
}

export function freshToken(): string {
  return randomUUID();
}

export function putItem(secretId: string, value: string, more: Partial<PutItem> = {}): PutItem {
  return {
    secretId,
    value: new SecretValue(value),
    connectionId: CONNECTION,
    known: false,
    requestKey: freshToken(),
    adopt: false,
    ...more,
  };
}

export function reference(secretId: string): Reference {
  return `secret:${secretId}`;
}

export function valueOf<T>(result: StoreResult<T> | undefined): T {
  if (result === undefined) throw new Error('no result');
  if (!result.ok) throw new Error(`failed: ${result.error.class} ${result.error.message}`);
  return result.value;
}

export function errorOf<T>(result: StoreResult<T> | undefined): StoreError {
  if (result === undefined) throw new Error('no result');
  if (result.ok) throw new Error('succeeded');
  return result.error;
}

/** Puts one item and gives its result's value. */
export async function putOne(fixture: Fixture, item: PutItem, call: StoreCall = storeCall()) {
  const [result] = await fixture.manager.store.put([item], call);
  return valueOf(result);
}

/** The current text of an id, or of one of its versions. */
export async function textOf(
  fixture: Pick<Fixture, 'manager'>,
  secretId: string,
  version?: string,
): Promise<string> {
  const item = { reference: reference(secretId), ...(version === undefined ? {} : { version }) };
  const [result] = await fixture.manager.store.get([item], storeCall());
  return valueOf(result).value.reveal();
}

export async function deleteOne(fixture: Fixture, secretId: string, connectionId = CONNECTION) {
  const [result] = await fixture.manager.store.delete(
    [{ reference: reference(secretId), connectionId, isCommitted: true }],
    storeCall(),
  );
  return result;
}

const PEM_LINE = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n';

/** Values that stores, JSON and shells are known to spoil. */
export const ODD_VALUES: readonly (readonly [name: string, value: string])[] = [
  ['unicode', 'pässwörd-密码-🔑-\u200f\u0301'],
  ['quotes', `a"b'c\`d\\e\\"f`],
  ['percent and dollar', '100%s %20 ${x} $(y) #{z} {a} }}'],
  ['spaces and newlines', '  tab\t line\r\nlast \n'],
  ['control characters', 'a\u0001b\u007fc\u2028d'],
  ['what looks like our own forms', 'secret:/openmetadata/x fernet:gAAAA *********'],
  ['a PEM of 4,000 bytes', PEM_LINE.repeat(Math.ceil(4_000 / PEM_LINE.length)).slice(0, 4_000)],
  ['one character', 'x'],
];
