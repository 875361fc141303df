import type { ConnectionOptions } from 'node:tls';
import type { Mechanism, SASLOptions } from 'kafkajs';
import type { SecretValue } from '../secret-value.js';
import { oauthBearer } from './oauth-bearer.js';

/** The authority of the brokers' certificates, and the client's own certificate and key: PEM texts. */
export interface KafkaTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: SecretValue;
}

/** How this client logs in. `token` is called for every connection, and again before its token expires. */
export type KafkaSasl =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: SecretValue;
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: () => Promise<SecretValue> };

/** How to connect to the brokers. */
export interface ConnectionSettings {
  /** `host:port` each, at least one. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** The longest one request to a broker, and one `Outlet.send`, may take. */
  readonly requestTimeoutMs: number;
  /** `true`: TLS with the system's certificate authorities. */
  readonly ssl?: boolean | KafkaTls;
  readonly sasl?: KafkaSasl;
}

/** The same, with a consumer group. */
export interface KafkaSettings extends ConnectionSettings {
  readonly groupId: string;
  /** After this time without a heartbeat, a member's partitions go to others. Brokers allow 6,000 to 1,800,000 ms. */
  readonly sessionTimeoutMs: number;
  /** How long a rebalance waits for a member; at least the session time-out. */
  readonly rebalanceTimeoutMs: number;
}

/** kafkajs's `ssl`. It always checks the broker's certificate. */
export function toTlsOptions(ssl: KafkaSettings['ssl']): ConnectionOptions | boolean {
  if (ssl === undefined || typeof ssl === 'boolean') return ssl ?? false;
  return {
    ...(ssl.ca === undefined ? {} : { ca: ssl.ca }),
    ...(ssl.cert === undefined ? {} : { cert: ssl.cert }),
    ...(ssl.key === undefined ? {} : { key: ssl.key.reveal() }),
  };
}

/** kafkajs's `sasl`. From here on the password is plain text: kafkajs holds it for reconnects. */
export function toSaslOptions(sasl: KafkaSasl): SASLOptions | Mechanism {
  if (sasl.mechanism === 'oauthbearer') return oauthBearer(sasl.token);
  const { mechanism, username, password } = sasl;
  const options: SASLOptions = { mechanism, username, password: password.reveal() };
  return options;
}
