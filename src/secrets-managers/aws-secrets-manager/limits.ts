import type { StoreLimits } from '../port.js';

/**
 * Limits of AWS Secrets Manager.
 * Source: Secrets Manager API reference, CreateSecret (Name, SecretString) and the quotas page.
 */
export const SECRETS_MANAGER_LIMITS: StoreLimits = {
  maxValueBytes: 65_536,
  maxIdLength: 512,
  refusedTexts: [],
  refusedId: {
    // The service ends an ARN in a hyphen and six characters: such a name is taken for a partial ARN.
    pattern: /[^A-Za-z0-9/_+=.@-]|-[A-Za-z0-9]{6}$|^$/,
    reason:
      'Secrets Manager takes letters, digits and /_+=.@- in a name, which must not end in a hyphen and six characters',
  },
};
