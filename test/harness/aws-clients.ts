import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SSMClient } from '@aws-sdk/client-ssm';
import { disposeLater } from './cleanup.js';
import { usePart } from './describe-with.js';

export const AWS_REGION = 'eu-central-1';
/** What moto takes; it checks nothing. */
export const AWS_CREDENTIALS = { accessKeyId: 'testing', secretAccessKey: 'testing' } as const;

export interface AwsClients {
  readonly endpoint: string;
  readonly secretsManager: SecretsManagerClient;
  readonly ssm: SSMClient;
  /** The worker's settings for the same emulator, region and credentials. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Plain AWS clients for assertions. All tests of a run share one moto: use names of your own (`freshName`), or
 * `startMoto()`. `endpoint` default: the moto of this run.
 */
export function awsClients(endpoint: string = usePart('moto')): AwsClients {
  const config = { endpoint, region: AWS_REGION, credentials: AWS_CREDENTIALS };
  const secretsManager = new SecretsManagerClient(config);
  const ssm = new SSMClient(config);
  disposeLater(() => {
    secretsManager.destroy();
    ssm.destroy();
  });
  return {
    endpoint,
    secretsManager,
    ssm,
    env: {
      AWS_ENDPOINT_URL: endpoint,
      OM_SM_REGION: AWS_REGION,
      OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
      OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
    },
  };
}
