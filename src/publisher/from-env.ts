import { loadConfig, withSecretFiles } from '../config.js';
import type { ConnectorPath } from '../config.js';
import { ConfigurationError } from '../errors.js';
import { kafkaSettings } from '../kafka/settings-from-config.js';
import type { PublisherOptions } from './publisher.js';

/**
 * Reads the settings from environment variables, which have the worker's names (docs/configuration.md): KAFKA_…,
 * TOPIC_CREATED, TOPIC_UPDATED, TOPIC_DELETED, PUBLISHER_FERNET_KEY (required), CATALOG_FILE, SECRET_PATHS_EXTRA,
 * SECRET_PATHS_EXCLUDED, SECRET_BY_NAME, UNKNOWN_CONNECTOR.
 *
 * @param env usually `process.env`
 * @throws ConfigurationError which lists every mistake by the variable's name and never repeats a variable's text
 */
export function publisherFromEnv(env: Readonly<Record<string, string | undefined>>): PublisherOptions {
  const config = loadConfig({ ...env }, { need: ['kafka'] });
  const fernetKeys = withSecretFiles(env).env['PUBLISHER_FERNET_KEY'];
  if (fernetKeys === undefined || fernetKeys.trim() === '') {
    throw new ConfigurationError(
      'CONFIG_INVALID',
      'PUBLISHER_FERNET_KEY is required. Make a key with `connection-secrets generate-key`.',
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
