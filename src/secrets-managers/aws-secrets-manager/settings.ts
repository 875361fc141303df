import { httpUrl, trueOrFalse, wholeNumber } from '../../setting/forms.js';
import type { ValuesOf } from '../../setting/setting.js';
import { AWS_SETTINGS, awsSetting } from '../aws-client/settings.js';
import type { ManagerSettings } from '../settings.js';

export const NAME = 'aws-secrets-manager';

export const SETTINGS = {
  ...AWS_SETTINGS,
  AWS_ENDPOINT_URL_SECRETS_MANAGER: awsSetting(httpUrl, {
    meaning: 'The same for Secrets Manager alone; goes first.',
  }),
  AWS_SM_RECOVERY_WINDOW_DAYS: awsSetting(wholeNumber(7, 30), {
    meaning: 'Days in which a deleted secret of Secrets Manager can be restored.',
    default: '30',
  }),
  AWS_SM_FORCE_DELETE: awsSetting(trueOrFalse, {
    meaning: 'Delete from Secrets Manager at once, without a recovery window.',
    default: 'false',
  }),
};

export type SecretsManagerSettings = ManagerSettings<ValuesOf<typeof SETTINGS>>;
