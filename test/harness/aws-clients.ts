import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SSMClient } from '@aws-sdk/client-ssm';
import { disposeLater } from './cleanup.js';
import { usePart } from './describe-with.js';

export const AWS_REGION = 'eu-central-1';
/** moto takes any credentials. */
export const AWS_CREDENTIALS = { accessKeyId: 'testing', secretAccessKey: 'testing' } as const;

export interface AwsClients {
  readonly endpoint: string;
  readonly secretsManager: SecretsManagerClient;
  readonly ssm: SSMClient;
  /** Settings with which the worker uses the same emulator, region and credentials. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Plain AWS clients for assertions. All tests of a run share one moto, so use fresh names (`freshName`), or
 * `startMoto()`. Default of `endpoint`: the moto of this run.
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
