import { inspect } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import type { AuthenticationProviderArgs } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { createKafkaClient, requireSafeEnvironment, toKafkaConfig } from '../../../src/kafka/client.js';
import { createLogger } from '../../../src/observability/logger.js';
import { toConsumerConfig } from '../../../consumers/group-member.js';
import { loadConfig } from '../../../src/config.js';
import type { KafkaSettings } from '../../../src/kafka/settings.js';
import { SecretValue } from '../../../src/secret-value.js';

const SETTINGS: KafkaSettings = {
  brokers: ['a:9092', 'b:9092'],
  clientId: 'worker',
  groupId: 'group',
  sessionTimeoutMs: 30_000,
  rebalanceTimeoutMs: 60_000,
  requestTimeoutMs: 10_000,
};

const NO_LOG = new Kafka({ brokers: ['a:1'], logLevel: logLevel.NOTHING }).logger();

describe('toKafkaConfig', () => {
  it('uses neither TLS nor SASL unless told', () => {
    const config = toKafkaConfig(SETTINGS);
    expect(config).toMatchObject({ brokers: ['a:9092', 'b:9092'], ssl: false, requestTimeout: 10_000 });
    expect(config).not.toHaveProperty('sasl');
  });

  it('passes certificates and never switches their check off', () => {
    const ssl = { ca: 'CA', cert: 'CERT', key: new SecretValue('KEY') };
    expect(toKafkaConfig({ ...SETTINGS, ssl }).ssl).toEqual({ ca: 'CA', cert: 'CERT', key: 'KEY' });
    expect(toKafkaConfig({ ...SETTINGS, ssl: true }).ssl).toBe(true);
  });

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('authenticates with %s', (mechanism) => {
    const sasl = { mechanism, username: 'user', password: new SecretValue('pass') };
    expect(toKafkaConfig({ ...SETTINGS, sasl }).sasl).toEqual({
      mechanism,
      username: 'user',
      password: 'pass',
    });
  });

  it('asks for a new token for each login', async () => {
    let calls = 0;
    const token = async (): Promise<SecretValue> => Promise.resolve(new SecretValue(`token-${(calls += 1)}`));
    const { sasl } = toKafkaConfig({ ...SETTINGS, sasl: { mechanism: 'oauthbearer', token } });
    if (sasl === undefined || !('authenticationProvider' in sasl)) throw new Error('no provider');
    const sent: string[] = [];
    const saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate'] = async ({
      request,
      response,
    }) => {
      sent.push((await request.encode()).subarray(4).toString());
      return response?.parse(await response.decode(Buffer.alloc(4)));
    };
    const provider = sasl.authenticationProvider({ host: 'a', port: 1, logger: NO_LOG, saslAuthenticate });
    await provider.authenticate();
    await provider.authenticate();
    expect(sent).toEqual(['1', '2'].map((n) => `n,,\u0001auth=Bearer token-${n}\u0001\u0001`));
  });

  it('keeps passwords out of what is printed of the settings', () => {
    const sasl = { mechanism: 'plain' as const, username: 'user', password: new SecretValue('hunter2') };
    const settings: KafkaSettings = { ...SETTINGS, sasl, ssl: { key: new SecretValue('pem-key') } };
    expect(inspect(settings, { depth: 9 }) + JSON.stringify(settings)).not.toMatch(/hunter2|pem-key/);
  });
});

describe('toConsumerConfig', () => {
  it('never gives members less time to come back than their session has', () => {
    const config = toConsumerConfig({ ...SETTINGS, rebalanceTimeoutMs: 1_000 });
    expect(config.rebalanceTimeout).toBe(30_000);
  });

  it('beats well below the session timeout', () => {
    expect(toConsumerConfig(SETTINGS).heartbeatInterval).toBe(3_000);
    expect(toConsumerConfig({ ...SETTINGS, sessionTimeoutMs: 6_000 }).heartbeatInterval).toBe(1_200);
  });
});

describe('requireSafeEnvironment', () => {
  it.each(['KAFKAJS_DEBUG_PROTOCOL_BUFFERS', 'KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS'])(
    'refuses %s',
    (name) => {
      expect(() => requireSafeEnvironment({ [name]: '1' })).toThrow(
        expect.objectContaining({
          code: 'UNSAFE_DEBUG_FLAG',
          message: expect.stringContaining(name) as string,
        }),
      );
      // Whoever makes a client, with a configuration of ours or without.
      const logger = createLogger({ level: 'fatal', to: 'stderr' });
      expect(() => createKafkaClient(SETTINGS, { logger, env: { [name]: '1' } })).toThrow(
        expect.objectContaining({ code: 'UNSAFE_DEBUG_FLAG' }),
      );
    },
  );

  it.each(['1', '0', 'true', 'false', ' '])('refuses any text, as the configuration does: %j', (text) => {
    const env = { KAFKAJS_DEBUG_PROTOCOL_BUFFERS: text };
    const refused = expect.objectContaining({ code: 'UNSAFE_DEBUG_FLAG' }) as unknown;
    expect(() => requireSafeEnvironment(env)).toThrow(refused);
    expect(() => loadConfig(env, { need: [] })).toThrow(refused);
  });

  it('accepts what is not set, or empty', () => {
    expect(() => requireSafeEnvironment({})).not.toThrow();
    expect(() => requireSafeEnvironment({ KAFKAJS_DEBUG_PROTOCOL_BUFFERS: '' })).not.toThrow();
  });
});
