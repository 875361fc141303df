import { AWS_PACKAGES, checkCredentials } from '../aws-client/settings.js';
import { provider } from '../provider.js';
import { NAME, SETTINGS } from './settings.js';

export const awsSsm = provider({
  name: NAME,
  title: 'AWS SSM Parameter Store',
  managers: { 'managed-aws-ssm': 'store', 'aws-ssm': 'database' },
  aliases: {},
  idStyle: 'slash',
  capabilities: {
    history: true,
    compareAndSet: false,
    softDelete: false,
    atomicCreate: true,
    requestKeys: false,
    readsARequest: 10,
    tellsOwnersInLists: false,
  },
  writesPerSecond: 20,
  isLasting: true,
  settings: SETTINGS,
  location: { region: 'OM_SM_REGION' },
  permissions: {
    worker: [
      'ssm:PutParameter',
      'ssm:GetParameters',
      'ssm:DeleteParameter',
      'ssm:AddTagsToResource',
      'ssm:ListTagsForResource',
    ],
    verify: ['ssm:DescribeParameters'],
    ingestion: ['ssm:GetParameters'],
  },
  packages: ['@aws-sdk/client-ssm', ...AWS_PACKAGES],
  check: (values, { manager, prefix, cluster }) => {
    if (manager !== 'managed-aws-ssm' || !/^(aws|ssm)/i.test(prefix ?? cluster))
      return checkCredentials(values);
    const name = prefix === null ? 'OPENMETADATA_CLUSTER_NAME' : 'SECRET_MANAGER_PREFIX';
    const message = 'must not begin with aws or ssm: Parameter Store keeps such names to itself';
    return [...checkCredentials(values), { name, message }];
  },
  open: async (settings, deps) => (await import('./open.js')).openSsmStore(settings, deps),
});
