import type { KeyRing } from '../fernet/key-ring.js';
import type { SecretValue } from '../secret-value.js';
import type { IdStyle } from '../secrets-managers/port.js';
import type { ManagerName } from '../terms.js';
import type { DatabaseAddress } from './database-url.js';
import type { ConnectorPath } from './kafka-forms.js';
import type { SettingValues } from './settings.js';
import type { Tag } from './tags.js';

/** Parts of the configuration that not every command needs; what is needed and missing is a mistake. */
export type Need = 'keys' | 'kafka';

export interface KeyConfig {
  readonly database: KeyRing;
  /** Null: events may have no `fernet:` field. */
  readonly publisher: KeyRing | null;
  readonly ingestion: KeyRing;
  /** Kept events; also what 0.1 kept under FERNET_KEY itself is opened. */
  readonly deadLetter: KeyRing;
  /** Records that wait to be published; likewise. */
  readonly outbox: KeyRing;
  /** The key of fingerprints and digests, which lies in the database. */
  readonly fingerprint: KeyRing;
  /** INGESTION_FERNET_KEY is unset, so that FERNET_KEY does its work. */
  readonly ingestionFallsBack: boolean;
}

export interface AwsConfig {
  /** Null: the SDK's own search. */
  readonly region: string | null;
  /** Null: the SDK's default chain. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: SecretValue } | null;
  readonly secretsManagerEndpoint: string | null;
  readonly ssmEndpoint: string | null;
  readonly ssmTier: SettingValues['SSM_TIER'];
  readonly recoveryWindowDays: number;
  readonly forceDelete: boolean;
}

export interface SecretsManagerConfig {
  readonly name: ManagerName;
  /** Whether SECRET_MANAGER is set; else `name` is the default. */
  readonly isSet: boolean;
  /** The style of the configured store's names. */
  readonly idStyle: IdStyle;
  /** `SECRET_ID_STYLE=strict`. */
  readonly strictIds: boolean;
  /** Empty where unset. */
  readonly prefix: string;
  readonly clusterName: string;
  readonly tags: readonly Tag[];
  readonly adopt: boolean;
  readonly migration: SettingValues['SECRET_MIGRATION'];
  readonly writesPerSecond: number;
  readonly requestTimeoutMs: number;
  readonly localVaultFile: string;
  readonly aws: AwsConfig;
}

export type SaslConfig =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: SecretValue;
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: OauthTokenSource };

export type OauthTokenSource =
  | { readonly from: 'setting'; readonly token: SecretValue }
  | { readonly from: 'file'; readonly file: string }
  | {
      readonly from: 'endpoint';
      readonly url: string;
      readonly clientId: string;
      readonly clientSecret: SecretValue;
      readonly scope: string | null;
    };

export interface KafkaTls {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

export interface KafkaConfig {
  readonly brokers: readonly string[];
  readonly groupId: string;
  readonly clientId: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly tls: KafkaTls | null;
  readonly sasl: SaslConfig | null;
  readonly purgeSource: SettingValues['PURGE_SOURCE'];
}

/**
 * The validated configuration; frozen throughout. Secret members are `KeyRing` and `SecretValue`, which do not print
 * themselves. What a command did not ask for (`need`) may be null.
 */
export interface Config<N extends Need = Need> {
  /** What is accepted but looks wrong, by the variable's name; to be logged at start. */
  readonly warnings: readonly string[];
  readonly keys: 'keys' extends N ? KeyConfig : KeyConfig | null;
  readonly kafka: 'kafka' extends N ? KafkaConfig : KafkaConfig | null;
  readonly topics: {
    readonly created: string;
    readonly updated: string;
    readonly deleted: string;
    readonly secured: string;
    readonly deadLetter: string;
  };
  readonly secretsManager: SecretsManagerConfig;
  readonly database: {
    readonly address: DatabaseAddress;
    readonly migrate: SettingValues['DATABASE_MIGRATE'];
    readonly poolSize: number;
    readonly inboxRetentionDays: number;
    readonly outboxRetentionDays: number;
  };
  readonly rules: {
    readonly secretByName: SettingValues['SECRET_BY_NAME'];
    readonly unknownConnector: SettingValues['UNKNOWN_CONNECTOR'];
    readonly sourceValues: SettingValues['SOURCE_VALUES'];
    readonly maskedSecretOnNewEndpoint: SettingValues['MASKED_SECRET_ON_NEW_ENDPOINT'];
    readonly publisherTokens: SettingValues['PUBLISHER_TOKENS'];
    readonly secretQuoted: SettingValues['SECRET_QUOTED'];
    /** Null: every reference outside of our own prefix. */
    readonly allowedReferencePrefixes: readonly string[] | null;
    /** Null: the shipped catalogue. */
    readonly catalogFile: string | null;
    readonly extraPaths: readonly ConnectorPath[];
    readonly excludedPaths: readonly ConnectorPath[];
    readonly deletionGraceSeconds: number;
    readonly clockSkewSeconds: number;
    readonly waitSeconds: number;
  };
  readonly secured: {
    readonly references: SettingValues['SECURED_REFERENCES'];
    readonly format: SettingValues['SECURED_FORMAT'];
  };
  readonly claims: {
    readonly claimMs: number;
    readonly storeTimeoutMs: number;
    readonly relayIntervalMs: number;
  };
  readonly worker: { readonly concurrency: number; readonly shutdownGraceMs: number };
  /** Null: off. Port 0: any free one. */
  readonly http: { readonly host: string; readonly port: number } | null;
  readonly log: { readonly level: SettingValues['LOG_LEVEL'] };
}
