import type { DatabaseAddress } from './database-url.js';
import type { SettingValues } from './settings.js';
import type { AwsConfig, Config, KafkaConfig, KeyConfig, OauthTokenSource, SaslConfig } from './types.js';

/** As {@link Config}, with everything nullable that a command may do without. */
export type AnyConfig = Omit<Config, 'keys' | 'kafka'> & {
  readonly keys: KeyConfig | null;
  readonly kafka: KafkaConfig | null;
};

/** Groups checked values; decides nothing but defaults that depend on other settings. */
export function assemble(values: SettingValues, warnings: readonly string[]): AnyConfig {
  return {
    warnings,
    keys: keysOf(values),
    kafka: kafkaOf(values),
    topics: {
      created: values.TOPIC_CREATED,
      updated: values.TOPIC_UPDATED,
      deleted: values.TOPIC_DELETED,
      secured: values.TOPIC_SECURED,
      deadLetter: values.TOPIC_DEAD_LETTER,
    },
    secretsManager: {
      name: values.SECRET_MANAGER ?? 'db',
      isSet: values.SECRET_MANAGER !== null,
      idStyle: 'slash',
      strictIds: values.SECRET_ID_STYLE === 'strict',
      prefix: values.SECRET_MANAGER_PREFIX ?? '',
      clusterName: values.OPENMETADATA_CLUSTER_NAME,
      tags: values.SECRET_MANAGER_TAGS ?? [],
      adopt: values.SECRET_ADOPT,
      migration: values.SECRET_MIGRATION,
      writesPerSecond: values.SECRET_MANAGER_WRITES_PER_SECOND,
      requestTimeoutMs: values.STORE_TIMEOUT_MS,
      localVaultFile: values.LOCAL_VAULT_FILE ?? vaultFileBeside(values.DATABASE_URL),
      aws: awsOf(values),
    },
    database: {
      address: values.DATABASE_URL,
      migrate: values.DATABASE_MIGRATE,
      poolSize: values.DATABASE_POOL_SIZE,
      inboxRetentionDays: values.INBOX_RETENTION_DAYS,
      outboxRetentionDays: values.OUTBOX_RETENTION_DAYS,
    },
    rules: {
      secretByName: values.SECRET_BY_NAME,
      unknownConnector: values.UNKNOWN_CONNECTOR,
      sourceValues: values.SOURCE_VALUES,
      maskedSecretOnNewEndpoint: values.MASKED_SECRET_ON_NEW_ENDPOINT,
      publisherTokens: values.PUBLISHER_TOKENS,
      secretQuoted: values.SECRET_QUOTED,
      allowedReferencePrefixes: values.ALLOWED_REFERENCE_PREFIXES,
      catalogFile: values.CATALOG_FILE,
      extraPaths: values.SECRET_PATHS_EXTRA ?? [],
      excludedPaths: values.SECRET_PATHS_EXCLUDED ?? [],
      deletionGraceSeconds: values.SECRET_DELETION_GRACE_SECONDS,
      clockSkewSeconds: values.CLOCK_SKEW_SECONDS,
      waitSeconds: values.WAIT_SECONDS,
    },
    secured: { references: values.SECURED_REFERENCES, format: values.SECURED_FORMAT },
    claims: {
      claimMs: values.CLAIM_MS,
      storeTimeoutMs: values.STORE_TIMEOUT_MS,
      relayIntervalMs: values.RELAY_INTERVAL_MS,
    },
    worker: { concurrency: values.WORKER_CONCURRENCY, shutdownGraceMs: values.SHUTDOWN_GRACE_MS },
    http: values.HTTP_PORT === 'off' ? null : { host: values.HTTP_HOST, port: values.HTTP_PORT },
    log: { level: values.LOG_LEVEL },
  };
}

function keysOf(values: SettingValues): KeyConfig | null {
  const database = values.FERNET_KEY;
  if (database === null) return null;
  // A token of the one place is none of the other. What 0.1 sealed with the list itself is opened until it is rotated.
  const keptEvents = database.derive('dead-letter');
  return {
    database,
    publisher: values.PUBLISHER_FERNET_KEY,
    ingestion: values.INGESTION_FERNET_KEY ?? database,
    deadLetter:
      values.DEAD_LETTER_FERNET_KEY?.openingAlso(keptEvents, database) ?? keptEvents.openingAlso(database),
    outbox: database.derive('outbox').openingAlso(database),
    fingerprint: database.derive('fingerprint-key'),
    ingestionFallsBack: values.INGESTION_FERNET_KEY === null,
  };
}

function awsOf(values: SettingValues): AwsConfig {
  const { OM_SM_ACCESS_KEY_ID: accessKeyId, OM_SM_ACCESS_KEY: secretAccessKey } = values;
  return {
    region: values.OM_SM_REGION ?? values.AWS_REGION ?? values.AWS_DEFAULT_REGION,
    credentials: accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey },
    secretsManagerEndpoint: values.AWS_ENDPOINT_URL_SECRETS_MANAGER ?? values.AWS_ENDPOINT_URL,
    ssmEndpoint: values.AWS_ENDPOINT_URL_SSM ?? values.AWS_ENDPOINT_URL,
    ssmTier: values.SSM_TIER,
    recoveryWindowDays: values.AWS_SM_RECOVERY_WINDOW_DAYS,
    forceDelete: values.AWS_SM_FORCE_DELETE,
  };
}

function kafkaOf(values: SettingValues): KafkaConfig | null {
  if (values.KAFKA_BROKERS === null) return null;
  const sessionTimeoutMs = values.KAFKA_SESSION_TIMEOUT_MS;
  return {
    brokers: values.KAFKA_BROKERS,
    groupId: values.KAFKA_GROUP_ID,
    clientId: values.KAFKA_CLIENT_ID,
    sessionTimeoutMs,
    rebalanceTimeoutMs: values.KAFKA_REBALANCE_TIMEOUT_MS ?? Math.max(60_000, sessionTimeoutMs),
    tls: values.KAFKA_SSL
      ? {
          caFile: values.KAFKA_SSL_CA_FILE,
          certFile: values.KAFKA_SSL_CERT_FILE,
          keyFile: values.KAFKA_SSL_KEY_FILE,
        }
      : null,
    sasl: saslOf(values),
    purgeSource: values.PURGE_SOURCE,
  };
}

function saslOf(values: SettingValues): SaslConfig | null {
  const {
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: username,
    KAFKA_SASL_PASSWORD: password,
  } = values;
  if (mechanism === null) return null;
  if (mechanism !== 'oauthbearer') return username && password ? { mechanism, username, password } : null;
  const token = tokenSourceOf(values);
  return token === null ? null : { mechanism, token };
}

function tokenSourceOf(values: SettingValues): OauthTokenSource | null {
  const { KAFKA_SASL_OAUTHBEARER_TOKEN: token, KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: file } = values;
  if (token !== null) return { from: 'setting', token };
  if (file !== null) return { from: 'file', file };
  const {
    KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: url,
    KAFKA_SASL_OAUTHBEARER_CLIENT_ID: clientId,
    KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: clientSecret,
  } = values;
  if (url === null || clientId === null || clientSecret === null) return null;
  return { from: 'endpoint', url, clientId, clientSecret, scope: values.KAFKA_SASL_OAUTHBEARER_SCOPE };
}

/** The database's own name with another ending, so that two databases in one folder have two vaults. */
function vaultFileBeside(address: DatabaseAddress): string {
  if (address.type !== 'sqlite' || address.file === ':memory:') return './connection-secrets.vault';
  const vault = address.file.replace(/\.(sqlite3?|db3?)$/i, '') + '.vault';
  return vault === address.file ? `${vault}.vault` : vault;
}
