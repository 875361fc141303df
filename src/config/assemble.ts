import type { KeyRing } from '../fernet/key-ring.js';
import type { SecretValue } from '../secret-value.js';
import {
  DEFAULT_MANAGER,
  PROVIDER_SETTING_NAMES,
  providerOf,
  type ProviderValues,
} from '../secrets-managers/providers.js';
import type { SettingValues } from './settings.js';

type Frozen<T> = T extends KeyRing | SecretValue ? T : { readonly [K in keyof T]: Frozen<T[K]> };

/**
 * The validated configuration; frozen throughout. Secret members are `KeyRing` and `SecretValue`, which do not print
 * themselves. What not every command needs may be null.
 */
export type AnyConfig = Frozen<ReturnType<typeof assemble>>;

/** Groups checked values; decides nothing but defaults that depend on other settings. */
export function assemble(values: SettingValues, warnings: readonly string[]) {
  const name = values.SECRET_MANAGER ?? DEFAULT_MANAGER;
  return {
    /** What is accepted but looks wrong, by the variable's name; to be logged at start. */
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
      name,
      /** Whether SECRET_MANAGER is set; else `name` is the default. */
      isSet: values.SECRET_MANAGER !== null,
      /** The style of the configured store's names. */
      idStyle: providerOf(name).idStyle,
      strictIds: values.SECRET_ID_STYLE === 'strict',
      prefix: values.SECRET_MANAGER_PREFIX ?? '',
      clusterName: values.OPENMETADATA_CLUSTER_NAME,
      tags: values.SECRET_MANAGER_TAGS ?? [],
      adopt: values.SECRET_ADOPT,
      migration: values.SECRET_MIGRATION,
      writesPerSecond: values.SECRET_MANAGER_WRITES_PER_SECOND ?? providerOf(name).writesPerSecond,
      requestTimeoutMs: values.STORE_TIMEOUT_MS,
      /** The providers' own settings, whichever is configured. */
      values: providerValuesOf(values),
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
      /** Null: every reference outside of our own prefix. */
      allowedReferencePrefixes: values.ALLOWED_REFERENCE_PREFIXES,
      /** Null: the shipped catalogue. */
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
    /** Null: off. Port 0: any free one. */
    http: values.HTTP_PORT === 'off' ? null : { host: values.HTTP_HOST, port: values.HTTP_PORT },
    log: { level: values.LOG_LEVEL },
    /** Null: the user of the machine. */
    audit: { actor: values.AUDIT_ACTOR },
  };
}

function keysOf(values: SettingValues) {
  const database = values.FERNET_KEY;
  if (database === null) return null;
  // A token of the one place is none of the other. What 0.1 sealed with the list itself is opened until it is rotated.
  const keptEvents = database.derive('dead-letter');
  return {
    database,
    /** Null: events may have no `fernet:` field. */
    publisher: values.PUBLISHER_FERNET_KEY,
    ingestion: values.INGESTION_FERNET_KEY ?? database,
    /** Kept events. */
    deadLetter:
      values.DEAD_LETTER_FERNET_KEY?.openingAlso(keptEvents, database) ?? keptEvents.openingAlso(database),
    /** Records that wait to be published. */
    outbox: database.derive('outbox').openingAlso(database),
    /** The key of fingerprints and digests, which lies in the database. */
    fingerprint: database.derive('fingerprint-key'),
    /** INGESTION_FERNET_KEY is unset, so that FERNET_KEY does its work. */
    ingestionFallsBack: values.INGESTION_FERNET_KEY === null,
  };
}

function providerValuesOf(values: SettingValues): ProviderValues {
  return Object.fromEntries(PROVIDER_SETTING_NAMES.map((name) => [name, values[name]])) as ProviderValues;
}

function kafkaOf(values: SettingValues) {
  if (values.KAFKA_BROKERS === null) return null;
  const sessionTimeoutMs = values.KAFKA_SESSION_TIMEOUT_MS;
  const { KAFKA_SSL_CA_FILE: caFile, KAFKA_SSL_CERT_FILE: certFile, KAFKA_SSL_KEY_FILE: keyFile } = values;
  return {
    brokers: values.KAFKA_BROKERS,
    groupId: values.KAFKA_GROUP_ID,
    clientId: values.KAFKA_CLIENT_ID,
    sessionTimeoutMs,
    rebalanceTimeoutMs: values.KAFKA_REBALANCE_TIMEOUT_MS ?? Math.max(60_000, sessionTimeoutMs),
    tls: values.KAFKA_SSL ? { caFile, certFile, keyFile } : null,
    sasl: saslOf(values),
    purgeSource: values.PURGE_SOURCE,
  };
}

function saslOf(values: SettingValues) {
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

function tokenSourceOf(values: SettingValues) {
  const { KAFKA_SASL_OAUTHBEARER_TOKEN: token, KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: file } = values;
  if (token !== null) return { from: 'setting' as const, token };
  if (file !== null) return { from: 'file' as const, file };
  const {
    KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: url,
    KAFKA_SASL_OAUTHBEARER_CLIENT_ID: clientId,
    KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: clientSecret,
    KAFKA_SASL_OAUTHBEARER_SCOPE: scope,
  } = values;
  if (url === null || clientId === null || clientSecret === null) return null;
  return { from: 'endpoint' as const, url, clientId, clientSecret, scope };
}
