import { SSMClient } from '@aws-sdk/client-ssm';
import { awsClientConfig, resolveRegion } from '../aws-client/client-config.js';
import { awsCredentials } from '../aws-client/credentials.js';
import { awsRequester } from '../aws-client/requester.js';
import { awsSettings, DEFAULT_CHECK_ID } from '../aws-client/settings.js';
import { Ownership } from '../ownership.js';
import type { OpenedStore } from '../provider.js';
import type { ManagerDeps } from '../settings.js';
import { ssmLimits } from './limits.js';
import { SsmReader } from './reader.js';
import { SsmRequests } from './requests.js';
import { NAME, type SsmSettings } from './settings.js';
import { SsmStore } from './store.js';

/**
 * One client and the store on it. Makes no call.
 *
 * @throws ConfigurationError CONFIG_INVALID without a region
 */
export async function openSsmStore(settings: SsmSettings, deps: ManagerDeps): Promise<OpenedStore> {
  const aws = awsSettings(settings, settings.values.AWS_ENDPOINT_URL_SSM);
  const credentials = awsCredentials(aws);
  const client = new SSMClient(awsClientConfig(aws, credentials));
  const region = await resolveRegion(() => client.config.region());
  const requester = awsRequester(NAME, settings.requestTimeoutMs, {
    ...deps,
    region,
    onCredentialsRefused: credentials.renew,
  });
  const ownership = new Ownership(settings);
  const requests = new SsmRequests(client, requester, ownership, settings.values);
  const limits = ssmLimits(settings.values.SSM_TIER);
  const store = new SsmStore({
    provider: NAME,
    limits,
    requests,
    ownership,
    reader: new SsmReader(NAME, requests),
    checkId: settings.checkId ?? DEFAULT_CHECK_ID,
    close: () => {
      client.destroy();
    },
  });
  return { store, location: { region }, limits };
}
