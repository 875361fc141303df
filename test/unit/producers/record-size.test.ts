import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutIntoRequests, recordBytes, RECORD_OVERHEAD_BYTES } from '../../../producers/record-size.js';
import type { OutgoingRecord } from '../../../src/transport.js';

const record = (bytes: number, stream: OutgoingRecord['stream'] = 'secured'): OutgoingRecord => ({
  stream,
  key: null,
  value: Buffer.alloc(bytes),
  headers: {},
});

describe('recordBytes', () => {
  it('counts key, value and headers in UTF-8', () => {
    expect(recordBytes({ stream: 'secured', key: 'ä', value: Buffer.from('123'), headers: { a: 'ö' } })).toBe(
      8,
    );
    expect(recordBytes({ stream: 'dead-letter', key: null, value: null, headers: {} })).toBe(0);
  });
});

describe('cutIntoRequests', () => {
  it('leaves what fits in one request, streams together', () => {
    const records = [record(10), record(10, 'dead-letter'), record(10)];
    expect(cutIntoRequests(records, { batchBytes: () => 10_000, requestBytes: 100_000 })).toEqual([records]);
  });

  it('keeps order, loses nothing and stays below both limits, but for a record that is too large by itself', () => {
    const streams = fc.constantFrom<OutgoingRecord['stream']>('secured', 'dead-letter');
    const lists = fc.array(fc.tuple(fc.nat(3_000), streams), { maxLength: 30 });
    fc.assert(
      fc.property(lists, (list) => {
        const records = list.map(([bytes, stream]) => record(bytes, stream));
        const limits = { batchBytes: () => 4_000, requestBytes: 6_000 };
        const requests = cutIntoRequests(records, limits);
        expect(requests.flat()).toEqual(records);
        const sum = (of: readonly OutgoingRecord[]): number =>
          of.reduce((total, each) => total + recordBytes(each) + RECORD_OVERHEAD_BYTES, 0);
        for (const request of requests) {
          expect(sum(request)).toBeLessThanOrEqual(6_000);
          expect(sum(request.filter(({ stream }) => stream === 'secured'))).toBeLessThanOrEqual(4_000);
        }
      }),
    );
  });
});
