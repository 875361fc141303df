import { httpUrl, oneOf } from '../../setting/forms.js';
import type { ValuesOf } from '../../setting/setting.js';
import { AWS_SETTINGS, awsSetting } from '../aws-client/settings.js';
import type { ManagerSettings } from '../settings.js';

export const NAME = 'aws-ssm';

export const SETTINGS = {
  ...AWS_SETTINGS,
  AWS_ENDPOINT_URL_SSM: awsSetting(httpUrl, {
    meaning: 'The same for Parameter Store alone; goes first.',
  }),
  SSM_TIER: awsSetting(oneOf(['standard', 'advanced']), {
    meaning: 'Tier of parameters: values up to 4,096 or 8,192 bytes.',
    default: 'standard',
  }),
};

export type SsmSettings = ManagerSettings<ValuesOf<typeof SETTINGS>>;
