import type { JsonObject } from '../../src/terms.js';
import { mutateTree } from './mutate.js';
import type { Random } from './random.js';
import type { Scene } from './run.js';
import type { Sample } from './samples.js';
import type { World } from './scenes.js';

export interface Made {
  readonly sample: Sample;
  /** The sample's event, changed. */
  readonly value: JsonObject;
  readonly scene: Scene;
}

/** A sample with up to `most` changes of its tree. */
export function makeEvent({ samples, scenes }: World, random: Random, most: number): Made {
  const index = random.below(samples.length);
  const sample = samples[index] as Sample;
  const value = structuredClone(sample.value);
  for (let change = random.below(most + 1); change > 0; change -= 1)
    mutateTree(value, random.pick(samples).value, random);
  return { sample, value, scene: random.pick(scenes[index] as readonly Scene[]) };
}
