import { httpUrl, matching, secretText, text } from '../../setting/forms.js';
import { settingsOf, type ValuesOf } from '../../setting/setting.js';
import type { SecretValue } from '../../secret-value.js';
import { bothOrNone, type Provider } from '../provider.js';
import type { ManagerSettings } from '../settings.js';

export const awsSetting = settingsOf('AWS');

/** What both AWS stores share, OpenMetadata's names among them. */
export const AWS_SETTINGS = {
  OM_SM_REGION: awsSetting(text, {
    meaning: 'Region. Unset: AWS_REGION, then AWS_DEFAULT_REGION, then the SDK’s own search.',
    example: 'eu-west-1',
  }),
  OM_SM_ACCESS_KEY_ID: awsSetting(text, {
    meaning:
      'Access key id; with OM_SM_ACCESS_KEY or not at all. Unset: the SDK’s default chain (roles, profiles, …).',
  }),
  OM_SM_ACCESS_KEY: awsSetting(secretText, {
    meaning: 'Secret access key; with OM_SM_ACCESS_KEY_ID.',
    secret: true,
  }),
  AWS_REGION: awsSetting(text, { meaning: 'Region where OM_SM_REGION is unset.' }),
  AWS_DEFAULT_REGION: awsSetting(text, { meaning: 'Region where neither of the other two is set.' }),
  AWS_ENDPOINT_URL: awsSetting(httpUrl, {
    meaning: 'Address of an emulator or private endpoint, for both stores.',
    example: 'http://127.0.0.1:5000',
  }),
  AWS_KMS_KEY_ID: awsSetting(
    matching(/^[A-Za-z0-9:/_-]{1,2048}$/, 'the id, the ARN or the alias (`alias/…`) of a KMS key'),
    {
      meaning:
        'Key of your own that encrypts values: in Secrets Manager those of secrets that are created, in Parameter Store ' +
        'those that are written. Unset: the key of AWS for that store.',
      example: 'alias/connection-secrets',
    },
  ),
};
type AwsTable = typeof AWS_SETTINGS;

/** What an AWS client is made with. */
export interface AwsSettings {
  /** Null: the SDK's own search. */
  readonly region: string | null;
  /** Null: the SDK's default credential chain. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: SecretValue } | null;
  /** Address of an emulator; null: the service's own. */
  readonly endpointUrl: string | null;
  readonly requestTimeoutMs: number;
}

/** @param endpointUrl of this store alone; goes before the one for both */
export function awsSettings(
  { values, requestTimeoutMs }: Pick<ManagerSettings<ValuesOf<AwsTable>>, 'values' | 'requestTimeoutMs'>,
  endpointUrl: string | null,
): AwsSettings {
  const { OM_SM_ACCESS_KEY_ID: accessKeyId, OM_SM_ACCESS_KEY: secretAccessKey } = values;
  return {
    region: values.OM_SM_REGION ?? values.AWS_REGION ?? values.AWS_DEFAULT_REGION,
    credentials: accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey },
    endpointUrl: endpointUrl ?? values.AWS_ENDPOINT_URL,
    requestTimeoutMs,
  };
}

export function checkCredentials(
  values: Parameters<NonNullable<Provider<AwsTable>['check']>>[0],
): ReturnType<NonNullable<Provider<AwsTable>['check']>> {
  return bothOrNone(values, 'OM_SM_ACCESS_KEY_ID', 'OM_SM_ACCESS_KEY');
}

/** An id that need not exist: `check` asks for it. */
export const DEFAULT_CHECK_ID = '/openmetadata/connection-secrets';
/** Beside the SDK's client of a store. */
export const AWS_PACKAGES = [
  '@aws-sdk/credential-provider-node',
  '@smithy/core',
  '@smithy/node-http-handler',
  '@smithy/signature-v4',
] as const;
