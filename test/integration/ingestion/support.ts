import { CreateSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { encodeSecuredEvent } from '../../../src/events/secured-event.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { StoreSettings } from '../../../src/ingestion/index.js';
import type { SecuredEvent } from '../../../src/terms.js';
import { requireMessage } from '../../harness/asyncapi.js';
import { AWS_CREDENTIALS, AWS_REGION, produce } from '../../harness/index.js';
import type { AwsClients, RecordToSend } from '../../harness/index.js';
import { securedEvent } from '../../unit/ingestion/support.js';

export const awsOptions = (endpoint: string): StoreSettings => ({
  OM_SM_REGION: AWS_REGION,
  OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
  OM_SM_ACCESS_KEY: new SecretValue(AWS_CREDENTIALS.secretAccessKey),
  AWS_ENDPOINT_URL: endpoint,
});

export const STORES = {
  secretsManager: { provider: 'aws-secrets-manager', region: AWS_REGION },
  ssm: { provider: 'aws-ssm', region: AWS_REGION },
} as const;

export async function putSecret({ secretsManager }: AwsClients, name: string, value: string): Promise<void> {
  try {
    await secretsManager.send(new CreateSecretCommand({ Name: name, SecretString: value }));
  } catch {
    await secretsManager.send(new PutSecretValueCommand({ SecretId: name, SecretString: value }));
  }
}

export async function putParameter({ ssm }: AwsClients, name: string, value: string): Promise<void> {
  await ssm.send(
    new PutParameterCommand({ Name: name, Value: value, Type: 'SecureString', Overwrite: true }),
  );
}

/** A connection whose one password is `secret:<name>` in Secrets Manager. */
export function eventOf(id: string, revision: number, name: string, changes: Partial<SecuredEvent> = {}) {
  const reference = `secret:${name}` as const;
  return securedEvent({
    connectionId: id,
    revision,
    store: STORES.secretsManager,
    entity: { id, name: id, connection: { config: { password: reference } } },
    secretFields: [{ path: '/connection/config/password', reference, owned: true }],
    ...changes,
  });
}

export function recordOf(event: SecuredEvent): RecordToSend {
  const { key, value, headers } = encodeSecuredEvent(event);
  requireMessage('secured', { key, value, headers });
  return { key, value, headers };
}

export async function publishSecured(
  topic: string,
  events: readonly SecuredEvent[],
  brokers: string,
): Promise<void> {
  await produce(topic, events.map(recordOf), { brokers });
}
