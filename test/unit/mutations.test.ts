import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isRule } from '../model/rules.js';
import { MUTATIONS } from '../mutations/rules.js';
import { PROJECT_DIR } from '../harness/cache.js';

/** `npm run test:mutations` takes minutes; that it still fits the source is seen here. */
describe('the mutations', () => {
  it.each(MUTATIONS)(
    '$rule: its text stands in $file exactly once',
    ({ file, text, instead, tests, model }) => {
      const source = readFileSync(join(PROJECT_DIR, file), 'utf8');
      expect(source.split(text)).toHaveLength(2);
      expect(instead).not.toBe(text);
      for (const test of tests) expect(existsSync(join(PROJECT_DIR, test)), test).toBe(true);
      expect(model === null || isRule(model.rule)).toBe(true);
    },
  );

  it.each([
    'inbox check',
    'reused event id',
    'order check',
    'order per field',
    'claim check before a write',
    'claim check before a publish',
    'epoch at commit',
    'epoch in the token',
    '`writing` rule',
    'suspect: what was given up',
    'suspect',
    'watermark',
    'order of effects',
    'relay',
    'owner tag check',
    'janitor’s claim',
    'token binding',
    'installation tag',
    'installation marker',
    'row digest',
    'reference judge',
    'squat check',
    'mask definition',
    'entity type change',
    'sealed values only',
    'mask on a new endpoint',
    'texts in statements',
    'texts come back',
    'files are their owner’s',
  ])('take out the rule: %s', (rule) => {
    expect(MUTATIONS.filter((mutation) => mutation.rule.startsWith(rule))).not.toEqual([]);
  });
});
