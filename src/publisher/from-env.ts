import { loadConfig, withSecretFiles } from '../config.js';
import type { ConnectorPath } from '../config.js';
import { ConfigurationError } from '../errors.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { PublisherOptions } from './publisher.js';

/**
 * Settings from environment variables, named as those of the worker (docs/configuration.md): KAFKA_…, TOPIC_CREATED,
 * TOPIC_UPDATED, TOPIC_DELETED, PUBLISHER_FERNET_KEY (needed), CATALOG_FILE, SECRET_PATHS_EXTRA, SECRET_PATHS_EXCLUDED,
 * UNKNOWN_CONNECTOR.
 *
 * @param env usually `process.env`
 * @throws ConfigurationError listing every mistake by the variable's name, never repeating a variable's text
 */
export function publisherFromEnv(env: Readonly<Record<string, string | undefined>>): PublisherOptions {
  const config = loadConfig({ ...env }, { need: ['kafka'] });
  const fernetKeys = withSecretFiles(env).env['PUBLISHER_FERNET_KEY'];
  if (fernetKeys === undefined || fernetKeys.trim() === '') {
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'PUBLISHER_FERNET_KEY is needed. Make one with `connection-secrets generate-key`.',
    );
  }
  const { brokers, clientId, requestTimeoutMs, ssl, sasl } = kafkaSettings(config);
  const { created, updated, deleted } = config.topics;
  const { catalogFile, unknownConnector, secretByName } = config.rules;
  return {
    kafka: {
      ...{ brokers, clientId, requestTimeoutMs },
      ...(ssl === undefined ? {} : { ssl }),
      ...(sasl === undefined ? {} : { sasl }),
    },
    fernetKeys,
    topics: { created, updated, deleted },
    rules: {
      ...(catalogFile === null ? {} : { catalogFile }),
      byName: secretByName === 'refuse' ? 'refuse' : 'externalise',
      unknownConnector,
      extraPaths: config.rules.extraPaths.map(asText),
      excludedPaths: config.rules.excludedPaths.map(asText),
    },
  };
}

function asText({ connector, path }: ConnectorPath): string {
  return `${connector}:${path}`;
}
