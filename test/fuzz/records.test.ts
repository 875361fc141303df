import { describe, expect, it } from 'vitest';
import type { SourceRecord } from '../../src/terms.js';
import { makeEvent } from './made.js';
import { mutateBytes, mutateJsonText } from './mutate.js';
import { judge } from './oracle.js';
import type { Random } from './random.js';
import { corpus, FACTOR, fuzz, judgeInput, summary, type Scene } from './run.js';
import { sourceOf, TOPICS } from './samples.js';
import { openWorld } from './scenes.js';

const CASES = 20_000 * FACTOR;
const world = openWorld();

/** An event with changes of its tree, and sometimes of its text and of its bytes. */
function changed(random: Random): { input: SourceRecord; scene: Scene } {
  const { sample, value, scene } = makeEvent(world, random, 5);
  let text = JSON.stringify(value);
  if (random.chance(8)) text = mutateJsonText(text, random);
  let bytes: Buffer = Buffer.from(text);
  if (random.chance(12)) bytes = mutateBytes(bytes, random);
  const input: SourceRecord = {
    ...sourceOf(sample),
    topic: random.chance(10) ? random.pick([TOPICS.created, TOPICS.deleted, 'another']) : sample.topic,
    value: random.chance(500) ? random.pick([null, Buffer.alloc(0)]) : bytes,
  };
  return { input, scene };
}

describe('records of the source topics', { timeout: 600_000 * Math.max(1, FACTOR) }, () => {
  it('unchanged, every sample hides its canaries', () => {
    for (const [index, sample] of world.samples.entries())
      for (const { context, before } of world.scenes[index] as readonly Scene[])
        judge(sourceOf(sample), context, before);
  });

  it.each(corpus())('what failed once: $name', ({ input }) => {
    for (const scene of world.scenes.flat()) judgeInput(input, scene);
  });

  it(`${CASES} changed ones: nothing throws, nothing leaks, what comes out is as the schemas say`, () => {
    const result = fuzz('records', CASES, changed);
    console.log(summary('records', result));
    expect(result.withSecrets).toBeGreaterThan(CASES / 2);
    // The changes reach more than the first check.
    expect([...result.outcomes.keys()]).toEqual(
      expect.arrayContaining(['applied', 'stale', 'waiting MASK_WITHOUT_ORIGINAL', 'refused EVENT_INVALID']),
    );
  });
});
