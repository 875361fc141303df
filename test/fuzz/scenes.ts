import type { SourceRecord } from '../../src/terms.js';
import { fuzzContexts } from './contexts.js';
import { applied } from './oracle.js';
import type { Scene } from './run.js';
import { samplesWithCanaries, sourceOf, type Sample } from './samples.js';

export interface World {
  readonly samples: readonly Sample[];
  /** For each sample: every configuration, its connection new or (where it can be applied) known. */
  readonly scenes: readonly (readonly Scene[])[];
}

/** Samples and where they meet. Opening it compiles the catalogue, which takes a moment. */
export function openWorld(): World {
  const contexts = fuzzContexts();
  const [first] = contexts;
  if (first === undefined) throw new Error('no configuration');
  const samples = samplesWithCanaries(first.fields);
  const scenes = samples.map((sample) =>
    contexts.flatMap((context): Scene[] => {
      const before = applied(olderThan(sourceOf(sample)), context);
      return [{ context, before: null }, ...(before === null ? [] : [{ context, before }])];
    }),
  );
  return { samples, scenes };
}

/** The same state an hour before, as another event: what comes next is neither its duplicate nor older. */
function olderThan(record: SourceRecord): SourceRecord {
  const event = JSON.parse(record.value?.toString() ?? '{}') as Record<string, unknown>;
  const older = { ...event, id: 'older', timestamp: Number(event['timestamp']) - 3_600_000 };
  return { ...record, value: Buffer.from(JSON.stringify(older)) };
}
