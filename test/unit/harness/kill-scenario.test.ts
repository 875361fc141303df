import { describe, expect, it } from 'vitest';
import { PARTITIONS, Scenario, type SourceItem } from '../../faults/kills/scenario.js';

/** Of a record that is no event: its text. */
const caseOf = ({ topic, key, value }: SourceItem): string =>
  `${topic} ${key === '' ? value.replace(/\d+/, '') : key.replace(/-[0-9a-f]+$/, '')}`;

describe('the events of the kill matrix', () => {
  it.each([false, true])('each case is in every partition within as many rounds (orphan: %s)', (orphan) => {
    const scenario = new Scenario();
    const partitions = new Map<string, Set<number>>();
    for (let round = 0; round < PARTITIONS; round += 1)
      for (const item of scenario.round({ orphan }))
        partitions.set(caseOf(item), (partitions.get(caseOf(item)) ?? new Set()).add(item.partition));
    expect([...partitions].filter(([, seen]) => seen.size < PARTITIONS)).toEqual([]);
    expect(partitions.size).toBeGreaterThan(10);
  });

  it('what belongs to one connection is in one partition of a topic', () => {
    const placeOf = new Map<string, number>();
    for (const { topic, key, partition } of new Scenario().round()) {
      const place = `${topic} ${key}`;
      expect(placeOf.get(place) ?? partition).toBe(partition);
      placeOf.set(place, partition);
    }
  });
});
