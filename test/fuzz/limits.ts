import type { StoreLimits } from '../../src/secrets-managers/port.js';

/** Narrow as those of AWS SSM, so that limits are met. */
export const SSM_TEST_LIMITS: StoreLimits = { maxValueBytes: 4_096, maxIdLength: 512, refusedTexts: ['{{'] };
