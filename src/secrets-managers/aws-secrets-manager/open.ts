import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { awsClientConfig, resolveRegion } from '../aws-client/client-config.js';
import { awsCredentials } from '../aws-client/credentials.js';
import { AwsRequester } from '../aws-client/requester.js';
import { Ownership } from '../ownership.js';
import { SecretsManagerReader } from './reader.js';
import { SecretsManagerRequests } from './requests.js';
import { SecretsManagerStore } from './store.js';
import type { SecretStore } from '../port.js';
import type { ManagerDeps, ManagerSettings } from '../settings.js';

export const SECRETS_MANAGER_PROVIDER = 'aws-secrets-manager';
const DEFAULT_CHECK_ID = '/openmetadata/connection-secrets';

/**
 * One client and the store on it. Makes no call.
 *
 * @throws ConfigurationError CONFIG_INVALID without a region
 */
export async function openSecretsManagerStore(
  settings: ManagerSettings,
  deps: ManagerDeps,
): Promise<{ store: SecretStore; region: string }> {
  const credentials = awsCredentials(settings);
  const client = new SecretsManagerClient(awsClientConfig(settings, credentials));
  const region = await resolveRegion(() => client.config.region());
  const requester = new AwsRequester(SECRETS_MANAGER_PROVIDER, settings.requestTimeoutMs, {
    ...deps,
    region,
    onCredentialsRefused: credentials.renew,
  });
  const ownership = new Ownership(settings);
  const requests = new SecretsManagerRequests(client, requester, ownership, settings);
  const store = new SecretsManagerStore({
    provider: SECRETS_MANAGER_PROVIDER,
    requests,
    ownership,
    reader: new SecretsManagerReader(SECRETS_MANAGER_PROVIDER, client, requester, requests),
    checkId: settings.checkId ?? DEFAULT_CHECK_ID,
    close: () => {
      client.destroy();
    },
  });
  return { store, region };
}
