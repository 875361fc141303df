import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { awsClientConfig, resolveRegion } from '../aws-client/client-config.js';
import { awsCredentials } from '../aws-client/credentials.js';
import { awsRequester } from '../aws-client/requester.js';
import { awsSettings, DEFAULT_CHECK_ID } from '../aws-client/settings.js';
import { Ownership } from '../ownership.js';
import type { OpenedStore } from '../provider.js';
import type { ManagerDeps } from '../settings.js';
import { SECRETS_MANAGER_LIMITS } from './limits.js';
import { SecretsManagerReader } from './reader.js';
import { SecretsManagerRequests } from './requests.js';
import { NAME, type SecretsManagerSettings } from './settings.js';
import { SecretsManagerStore } from './store.js';

/**
 * One client and the store on it. Makes no call.
 *
 * @throws ConfigurationError CONFIG_INVALID without a region
 */
export async function openSecretsManagerStore(
  settings: SecretsManagerSettings,
  deps: ManagerDeps,
): Promise<OpenedStore> {
  const aws = awsSettings(settings, settings.values.AWS_ENDPOINT_URL_SECRETS_MANAGER);
  const credentials = awsCredentials(aws);
  const client = new SecretsManagerClient(awsClientConfig(aws, credentials));
  const region = await resolveRegion(() => client.config.region());
  const requester = awsRequester(NAME, settings.requestTimeoutMs, {
    ...deps,
    region,
    onCredentialsRefused: credentials.renew,
  });
  const ownership = new Ownership(settings);
  const requests = new SecretsManagerRequests(client, requester, ownership, settings.values);
  const store = new SecretsManagerStore({
    provider: NAME,
    requests,
    ownership,
    reader: new SecretsManagerReader(NAME, client, requester, requests),
    checkId: settings.checkId ?? DEFAULT_CHECK_ID,
    close: () => {
      client.destroy();
    },
  });
  return { store, location: { region }, limits: SECRETS_MANAGER_LIMITS };
}
