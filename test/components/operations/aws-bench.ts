import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { AWS_CREDENTIALS, AWS_REGION, disposeLater } from '../../harness/index.js';
import { Bench } from '../secrets/fixture.js';

export type AwsManager = 'managed-aws' | 'managed-aws-ssm';

/** A bench whose store is a stand-in of AWS: survives restarts of the worker, schedules deletions, keeps versions. */
export async function openAwsBench(
  manager: AwsManager,
  env: Readonly<Record<string, string>> = {},
): Promise<{ bench: Bench; aws: AwsStandin }> {
  const aws = await startAwsStandin();
  disposeLater(() => aws.close());
  const bench = await Bench.open({
    SECRET_MANAGER: manager,
    AWS_ENDPOINT_URL: aws.url,
    OM_SM_REGION: AWS_REGION,
    OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
    OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
    ...env,
  });
  return { bench, aws };
}

/** What the store has under a name, scheduled for deletion or not. */
export function inStore(aws: AwsStandin, secretId: string) {
  return aws.secrets().find((secret) => secret.secretId === secretId);
}
