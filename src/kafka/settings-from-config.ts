import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Config, KafkaConfig } from '../config.js';
import { ConfigurationError, WorkerError } from '../errors.js';
import type { KafkaSasl, KafkaSettings, KafkaTls } from './settings.js';
import { publishTimeoutMs } from '../pipeline/claim.js';
import { SecretValue } from '../secret-value.js';

type SaslConfig = NonNullable<KafkaConfig['sasl']>;
type OauthTokenSource = Extract<SaslConfig, { mechanism: 'oauthbearer' }>['token'];

const LONGEST_REQUEST_MS = 10_000;
const TOKEN_TIMEOUT_MS = 10_000;

/** Makes the Kafka settings of the configuration. Reads the files at once, and fetches tokens when they are needed. */
export function kafkaSettings({
  kafka,
  claims,
}: {
  kafka: KafkaConfig;
  claims: Config['claims'];
}): KafkaSettings {
  return {
    brokers: kafka.brokers,
    clientId: kafka.clientId,
    groupId: kafka.groupId,
    sessionTimeoutMs: kafka.sessionTimeoutMs,
    rebalanceTimeoutMs: kafka.rebalanceTimeoutMs,
    requestTimeoutMs: publishTimeoutMs(claims.claimMs, LONGEST_REQUEST_MS),
    ...(kafka.tls === null ? {} : { ssl: tlsOf(kafka.tls) }),
    ...(kafka.sasl === null ? {} : { sasl: saslOf(kafka.sasl) }),
  };
}

function tlsOf({ caFile, certFile, keyFile }: NonNullable<KafkaConfig['tls']>): KafkaTls {
  return {
    ...(caFile === null ? {} : { ca: readText('KAFKA_SSL_CA_FILE', caFile) }),
    ...(certFile === null ? {} : { cert: readText('KAFKA_SSL_CERT_FILE', certFile) }),
    ...(keyFile === null ? {} : { key: new SecretValue(readText('KAFKA_SSL_KEY_FILE', keyFile)) }),
  };
}

function readText(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new ConfigurationError(
      'CONFIG_INVALID',
      `${name}: the file cannot be read; check its path and permissions`,
    );
  }
}

function saslOf(sasl: SaslConfig): KafkaSasl {
  if (sasl.mechanism !== 'oauthbearer') return sasl;
  return { mechanism: 'oauthbearer', token: () => readToken(sasl.token) };
}

async function readToken(source: OauthTokenSource): Promise<SecretValue> {
  switch (source.from) {
    case 'setting':
      return source.token;
    case 'file':
      try {
        return new SecretValue((await readFile(source.file, 'utf8')).trim());
      } catch {
        throw new WorkerError(
          'BROKER_UNAVAILABLE',
          'KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: the file cannot be read',
        );
      }
    case 'endpoint':
      return fetchToken(source);
  }
}

/** Client credentials grant: RFC 6749, section 4.4. No message quotes the endpoint's answer. */
async function fetchToken(source: Extract<OauthTokenSource, { from: 'endpoint' }>): Promise<SecretValue> {
  const { url, clientId, clientSecret, scope } = source;
  const failed = (reason: string): WorkerError =>
    new WorkerError('BROKER_UNAVAILABLE', `KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT gave no token: ${reason}`);
  const credentials = [clientId, clientSecret.reveal()].map(encodeURIComponent).join(':');
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    ...(scope === null ? {} : { scope }),
  });
  let answer: unknown;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
    if (!response.ok) throw failed(`status ${response.status}`);
    answer = await response.json();
  } catch (error) {
    throw error instanceof WorkerError ? error : failed('no answer, or none that is JSON');
  }
  const token =
    typeof answer === 'object' && answer !== null && 'access_token' in answer ? answer.access_token : null;
  if (typeof token !== 'string' || token === '') throw failed('the answer has no access_token');
  return new SecretValue(token);
}
