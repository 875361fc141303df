import { SSMClient } from '@aws-sdk/client-ssm';
import { awsClientConfig, resolveRegion } from '../aws-client/client-config.js';
import { awsCredentials } from '../aws-client/credentials.js';
import { AwsRequester } from '../aws-client/requester.js';
import { Ownership } from '../ownership.js';
import { ssmLimits } from './limits.js';
import { SsmReader } from './reader.js';
import { SsmRequests } from './requests.js';
import { SsmStore } from './store.js';
import type { SecretStore } from '../port.js';
import type { ManagerDeps, ManagerSettings } from '../settings.js';

export const SSM_PROVIDER = 'aws-ssm';
const DEFAULT_CHECK_ID = '/openmetadata/connection-secrets';

/**
 * One client and the store on it. Makes no call.
 *
 * @throws ConfigurationError CONFIG_INVALID without a region
 */
export async function openSsmStore(
  settings: ManagerSettings,
  deps: ManagerDeps,
): Promise<{ store: SecretStore; region: string }> {
  const credentials = awsCredentials(settings);
  const client = new SSMClient(awsClientConfig(settings, credentials));
  const region = await resolveRegion(() => client.config.region());
  const requester = new AwsRequester(SSM_PROVIDER, settings.requestTimeoutMs, {
    ...deps,
    region,
    onCredentialsRefused: credentials.renew,
  });
  const ownership = new Ownership(settings);
  const requests = new SsmRequests(client, requester, ownership, settings);
  const store = new SsmStore({
    provider: SSM_PROVIDER,
    limits: ssmLimits(settings.ssmTier),
    requests,
    ownership,
    reader: new SsmReader(SSM_PROVIDER, requests),
    checkId: settings.checkId ?? DEFAULT_CHECK_ID,
    close: () => {
      client.destroy();
    },
  });
  return { store, region };
}
