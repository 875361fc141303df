import { AWS_PACKAGES, checkCredentials } from '../aws-client/settings.js';
import { provider } from '../provider.js';
import { NAME, SETTINGS } from './settings.js';

export const awsSecretsManager = provider({
  name: NAME,
  title: 'AWS Secrets Manager',
  managers: { 'managed-aws': 'store', aws: 'database' },
  aliases: {},
  idStyle: 'slash',
  capabilities: {
    history: true,
    compareAndSet: false,
    softDelete: true,
    atomicCreate: true,
    requestKeys: true,
    readsARequest: 20,
    tellsOwnersInLists: true,
  },
  writesPerSecond: 20,
  isLasting: true,
  settings: SETTINGS,
  location: { region: 'OM_SM_REGION' },
  permissions: {
    worker: [
      'secretsmanager:CreateSecret',
      'secretsmanager:PutSecretValue',
      'secretsmanager:GetSecretValue',
      'secretsmanager:BatchGetSecretValue',
      'secretsmanager:DescribeSecret',
      'secretsmanager:UpdateSecretVersionStage',
      'secretsmanager:DeleteSecret',
      'secretsmanager:RestoreSecret',
      'secretsmanager:TagResource',
    ],
    verify: ['secretsmanager:ListSecrets'],
    // A secret that is scheduled for deletion is told from a refused one by its description.
    ingestion: [
      'secretsmanager:GetSecretValue',
      'secretsmanager:BatchGetSecretValue',
      'secretsmanager:DescribeSecret',
    ],
  },
  packages: ['@aws-sdk/client-secrets-manager', ...AWS_PACKAGES],
  check: checkCredentials,
  open: async (settings, deps) => (await import('./open.js')).openSecretsManagerStore(settings, deps),
});
