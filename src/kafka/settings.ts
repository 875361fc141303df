import type { ConnectionOptions } from 'node:tls';
import type { Mechanism, SASLOptions } from 'kafkajs';
import { ConfigurationError } from '../errors.js';
import type { SecretValue } from '../secret-value.js';
import { unsafeFlagsIn } from '../unsafe-flags.js';
import { oauthBearer } from './oauth-bearer.js';

/** A broker's certificate authority and a client's own certificate, PEM texts. */
export interface KafkaTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: SecretValue;
}

/** How this client proves who it is. A token provider is called for every connection and before tokens run out. */
export type KafkaSasl =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: SecretValue;
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: () => Promise<SecretValue> };

/** How to reach the brokers. */
export interface ConnectionSettings {
  /** `host:port` each, at least one. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** The longest one request to a broker, and one `Outlet.send`, may take. */
  readonly requestTimeoutMs: number;
  /** `true`: TLS with the system's authorities. */
  readonly ssl?: boolean | KafkaTls;
  readonly sasl?: KafkaSasl;
}

/** The same with a consumer group. */
export interface KafkaSettings extends ConnectionSettings {
  readonly groupId: string;
  /** How long a member may be silent before its partitions go to others. Brokers allow 6,000 to 1,800,000. */
  readonly sessionTimeoutMs: number;
  /** How long the others wait for a member when partitions are shared out anew; at least the session timeout. */
  readonly rebalanceTimeoutMs: number;
}

/** What kafkajs calls `ssl`. The certificate of the broker is always checked. */
export function toTlsOptions(ssl: KafkaSettings['ssl']): ConnectionOptions | boolean {
  if (ssl === undefined || typeof ssl === 'boolean') return ssl ?? false;
  return {
    ...(ssl.ca === undefined ? {} : { ca: ssl.ca }),
    ...(ssl.cert === undefined ? {} : { cert: ssl.cert }),
    ...(ssl.key === undefined ? {} : { key: ssl.key.reveal() }),
  };
}

/** What kafkajs calls `sasl`: from here on the password is text, kept by kafkajs for reconnecting. */
export function toSaslOptions(sasl: KafkaSasl): SASLOptions | Mechanism {
  if (sasl.mechanism === 'oauthbearer') return oauthBearer(sasl.token);
  return withPassword(sasl);
}

function withPassword(sasl: Exclude<KafkaSasl, { mechanism: 'oauthbearer' }>): SASLOptions {
  return { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password.reveal() };
}

/**
 * Refuses to work where kafkajs would print what records hold.
 * @throws ConfigurationError UNSAFE_DEBUG_FLAG, naming the variable
 */
export function refuseUnsafeFlags(env: Readonly<Record<string, string | undefined>>): void {
  const [flag] = unsafeFlagsIn(env);
  if (flag === undefined) return;
  throw new ConfigurationError('UNSAFE_DEBUG_FLAG', `${flag} is set: kafkajs would print record contents`);
}
