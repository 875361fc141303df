import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutIntoRequests } from '../../../producers/requests.js';
import type { TopicRecord } from '../../../producers/requests.js';
import { byteSize } from '../../../src/transport.js';

const record = (bytes: number, topic = 'secured'): TopicRecord => ({
  topic,
  key: null,
  value: Buffer.alloc(bytes),
  headers: {},
});

describe('cutIntoRequests', () => {
  it('puts all records that fit into one request, whatever their topic', () => {
    const records = [record(10), record(10, 'dead-letter'), record(10)];
    expect(cutIntoRequests(records, { batchBytes: () => 10_000, requestBytes: 100_000 })).toEqual([records]);
  });

  it('keeps order, loses nothing and respects both limits, except for a record over a limit', () => {
    const topics = fc.constantFrom('secured', 'dead-letter');
    const lists = fc.array(fc.tuple(fc.nat(3_000), topics), { maxLength: 30 });
    fc.assert(
      fc.property(lists, (list) => {
        const records = list.map(([bytes, topic]) => record(bytes, topic));
        const limits = { batchBytes: () => 4_000, requestBytes: 6_000 };
        const requests = cutIntoRequests(records, limits);
        expect(requests.flat()).toEqual(records);
        const sum = (of: readonly TopicRecord[]): number =>
          of.reduce((total, each) => total + byteSize(each), 0);
        for (const request of requests) {
          expect(sum(request)).toBeLessThanOrEqual(6_000);
          expect(sum(request.filter(({ topic }) => topic === 'secured'))).toBeLessThanOrEqual(4_000);
        }
      }),
    );
  });
});
