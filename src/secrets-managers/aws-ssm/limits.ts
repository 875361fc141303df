import type { StoreLimits } from '../port.js';

export type SsmTier = 'standard' | 'advanced';

const LONGEST_FULL_NAME = 1_011;
/** The longest name counts the ARN in front of it, whose length varies with partition and region. */
const LONGEST_ARN_PREFIX = 64;

/**
 * Limits of the SSM Parameter Store.
 * Source: Systems Manager user guide, "parameter name requirements and constraints"; API reference, PutParameter.
 */
export function ssmLimits(tier: SsmTier): StoreLimits {
  return {
    maxValueBytes: tier === 'advanced' ? 8_192 : 4_096,
    maxIdLength: LONGEST_FULL_NAME - LONGEST_ARN_PREFIX,
    maxIdLevels: 15,
    // Nested parameters: the service takes what stands between these for the name of another one.
    refusedTexts: ['{{'],
    refusedId: {
      pattern: /^\/?(aws|ssm)|[^A-Za-z0-9_.\-/]|\/\/|\/$|^$/i,
      reason:
        'the SSM Parameter Store takes letters, digits and _.-/ in a name, no empty level, and no "aws" or "ssm" in front',
    },
  };
}
