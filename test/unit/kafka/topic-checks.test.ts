import { describe, expect, it } from 'vitest';
import { judgeTopics } from '../../../src/kafka/topic-checks.js';
import type { TopicFacts } from '../../../src/kafka/topic-checks.js';
import { toTopicConfigs } from '../../../src/kafka/topics.js';
import type { TopicNames } from '../../../src/kafka/topics.js';

const NAMES: TopicNames = { created: 'c', updated: 'u', deleted: 'd', secured: 's', deadLetter: 'l' };
const WEEK_MS = 604_800_000;

function facts(changes: Partial<Record<string, Partial<TopicFacts> | null>> = {}): Map<string, TopicFacts> {
  const all = new Map<string, TopicFacts>();
  for (const topic of ['c', 'u', 'd', 's', 'l']) {
    const change = changes[topic];
    if (change === null) continue;
    const base = {
      topic,
      partitions: 6,
      retentionMs: WEEK_MS,
      maxMessageBytes: 1_048_588,
      compression: 'producer',
    };
    const compacted = topic === 's';
    all.set(topic, { ...base, compacted, deleted: !compacted, ...change });
  }
  return all;
}

const judged = (changes: Parameters<typeof facts>[0]): string[] =>
  judgeTopics(NAMES, facts(changes)).map(({ severity, topic }) => `${severity} ${topic}`);

describe('judgeTopics', () => {
  it('accepts good topics', () => {
    expect(judged({})).toEqual([]);
  });

  it.each([
    ['a missing topic', { l: null }, ['error l']],
    ['a compacted source topic', { u: { compacted: true } }, ['error u']],
    ['a source topic that keeps passwords for ever', { c: { retentionMs: -1 } }, ['warning c']],
    ['secured events that disappear', { s: { compacted: false, deleted: true } }, ['warning s']],
    ['secured events that are compacted and disappear', { s: { deleted: true } }, ['warning s']],
    ['sources that take larger records', { c: { maxMessageBytes: 2_000_000 } }, ['warning s']],
    ['source topics of different width', { d: { partitions: 3 } }, ['info d']],
    ['a codec that is not read', { u: { compression: 'brotli' } }, ['warning u']],
    ['compacted dead letters', { l: { compacted: true } }, ['warning l']],
  ])('tells of %s', (_title, changes, expected) => {
    expect(judged(changes)).toEqual(expected);
  });

  it.each(['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd', ''])(
    'has nothing to say about compression.type %j',
    (compression) => {
      expect(judged({ c: { compression }, s: { compression } })).toEqual([]);
    },
  );

  it('names the codec that is not read, and those that are', () => {
    expect(judgeTopics(NAMES, facts({ u: { compression: 'brotli' } }))[0]).toMatchObject({
      problem: expect.stringContaining('compression.type is brotli') as string,
      remedy: expect.stringContaining('gzip, snappy, lz4, zstd') as string,
    });
  });

  it('keeps secured events that are retained for ever or long', () => {
    expect(judged({ s: { compacted: false, deleted: true, retentionMs: -1 } })).toEqual([]);
  });

  it('refuses one topic for what is read and what is written', () => {
    const names = { ...NAMES, secured: 'c' };
    expect(judgeTopics(names, facts()).map(({ severity, topic }) => `${severity} ${topic}`)).toContain(
      'error c',
    );
  });

  it('says what to do', () => {
    for (const { problem, remedy } of judgeTopics(NAMES, new Map())) {
      expect(problem).not.toBe('');
      expect(remedy).not.toBe('');
    }
  });
});

describe('toTopicConfigs', () => {
  it('creates one topic if one serves for all source events', () => {
    const names = { ...NAMES, updated: 'c', deleted: 'c' };
    expect(toTopicConfigs({ names }).map(({ topic }) => topic)).toEqual(['c', 's', 'l']);
  });

  it('compacts only secured events, and by option not even those', () => {
    const policies = (plan: Parameters<typeof toTopicConfigs>[0]): unknown[] =>
      toTopicConfigs(plan).map(({ configEntries = [] }) => configEntries[0]?.value);
    expect(policies({ names: NAMES })).toEqual(['delete', 'delete', 'delete', 'compact', 'delete']);
    expect(policies({ names: NAMES, securedRetention: -1 })).not.toContain('compact');
  });
});
