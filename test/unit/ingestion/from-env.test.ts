import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { ingestionFromEnv, SecretValue } from '../../../src/ingestion/index.js';
import { publisherFromEnv } from '../../../src/publisher/index.js';

const KAFKA = { KAFKA_BROKERS: 'a:1,b:2' };

describe('settings of ingestion from the environment', () => {
  it('need the brokers and nothing of the worker', () => {
    const { resolver, subscription } = ingestionFromEnv(KAFKA);
    expect(subscription).toMatchObject({
      kafka: { brokers: ['a:1', 'b:2'] },
      groupId: 'connection-secrets-ingestion',
      topic: 'connection.secured',
    });
    expect(resolver).toEqual({ settings: {}, requestTimeoutMs: 5_000 });
    expect(() => ingestionFromEnv({})).toThrow(/KAFKA_BROKERS/);
  });

  it('pass on the vault of a worker on this machine and its key, which does not show', () => {
    const env = { ...KAFKA, LOCAL_VAULT_FILE: '/v/demo.vault', FERNET_KEY: generateKey() };
    const { settings } = ingestionFromEnv({ ...env, INGESTION_FERNET_KEY: generateKey() }).resolver;
    expect(settings).toEqual({
      LOCAL_VAULT_FILE: '/v/demo.vault',
      FERNET_KEY: new SecretValue(env.FERNET_KEY),
    });
    expect(inspect(settings)).not.toContain(env.FERNET_KEY);
  });

  it('take the worker’s names', () => {
    const key = generateKey();
    const { resolver, subscription } = ingestionFromEnv({
      ...KAFKA,
      ...{ KAFKA_GROUP_ID: 'g', TOPIC_SECURED: 't', KAFKA_SSL: 'true', STORE_TIMEOUT_MS: '900' },
      ...{ KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p4ssw0rd' },
      ...{ OM_SM_REGION: 'r-1', OM_SM_ACCESS_KEY_ID: 'id', OM_SM_ACCESS_KEY: 'p4ssw0rd' },
      ...{ AWS_ENDPOINT_URL: 'http://h:1', FERNET_KEY: generateKey(), INGESTION_FERNET_KEY: key },
    });
    expect(subscription).toMatchObject({
      groupId: 'g',
      topic: 't',
      kafka: { ssl: {}, sasl: { username: 'u' } },
    });
    expect(resolver).toMatchObject({
      fernetKeys: key,
      requestTimeoutMs: 900,
      settings: { OM_SM_REGION: 'r-1', OM_SM_ACCESS_KEY_ID: 'id', AWS_ENDPOINT_URL: 'http://h:1' },
    });
    expect(resolver.settings?.['OM_SM_ACCESS_KEY']).toEqual(new SecretValue('p4ssw0rd'));
    expect(String(resolver.settings?.['OM_SM_ACCESS_KEY'])).toBe('[secret]');
    expect(inspect({ resolver, subscription }, { depth: 9 })).not.toContain('p4ssw0rd');
  });
});

describe('settings of a publisher from the environment', () => {
  it('need brokers and a key of their own', () => {
    const key = generateKey();
    expect(publisherFromEnv({ ...KAFKA, PUBLISHER_FERNET_KEY: key, TOPIC_CREATED: 'c' })).toMatchObject({
      kafka: { brokers: ['a:1', 'b:2'] },
      fernetKeys: key,
      topics: { created: 'c', updated: 'connection.updated', deleted: 'connection.deleted' },
      rules: { byName: 'externalise', extraPaths: [] },
    });
    expect(() => publisherFromEnv({ ...KAFKA, FERNET_KEY: key })).toThrow(/PUBLISHER_FERNET_KEY/);
    const paths = { SECRET_PATHS_EXTRA: 'Mysql:hostPort', SECRET_PATHS_EXCLUDED: '*:plain' };
    expect(publisherFromEnv({ ...KAFKA, ...paths, PUBLISHER_FERNET_KEY: key }).rules).toMatchObject({
      extraPaths: ['Mysql:hostPort'],
      excludedPaths: ['*:plain'],
    });
  });
});
