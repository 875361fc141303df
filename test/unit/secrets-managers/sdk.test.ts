import { expect, it } from 'vitest';
import { loaded } from '../../../src/secrets-managers/sdk.js';

const missing = (code: string, message: string): Promise<never> =>
  Promise.reject(Object.assign(new Error(message), { code }));

it.each([
  ['MODULE_NOT_FOUND', "Cannot find module '@aws-sdk/client-ssm'\nRequire stack:\n- /app/main.js"],
  ['ERR_MODULE_NOT_FOUND', "Cannot find package '@aws-sdk/client-ssm' imported from /app/main.js"],
  ['MODULE_NOT_FOUND', "Cannot find module '@aws-sdk/client-ssm/dist/x.js'"],
])('a missing SDK is named with the command that installs it: %s, %s', async (code, message) => {
  await expect(loaded(missing(code, message), ['@aws-sdk/client-ssm', '@smithy/core'])).rejects.toMatchObject(
    {
      code: 'CONFIG_INVALID',
      message:
        'the package @aws-sdk/client-ssm is not installed. Install what this store needs: npm install @aws-sdk/client-ssm @smithy/core',
    },
  );
});

it.each([
  ['MODULE_NOT_FOUND', "Cannot find module './open.js'"],
  ['MODULE_NOT_FOUND', "Cannot find module 'another'"],
  ['ERR_DLOPEN_FAILED', 'Cannot open'],
])('any other error stays what it is: %s, %s', async (code, message) => {
  await expect(loaded(missing(code, message), ['@aws-sdk/client-ssm'])).rejects.toMatchObject({
    code,
    message,
  });
});
