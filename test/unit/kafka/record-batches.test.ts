import { describe, expect, it } from 'vitest';
import { decodeBatches } from '../../../src/kafka/record-batches.js';

interface Parts {
  readonly first?: number;
  readonly count?: number;
  readonly attributes?: number;
  readonly records: Buffer;
}

function batch({ first = 5, count = 1, attributes = 0, records }: Parts): Buffer {
  const header = Buffer.alloc(61);
  header.writeBigInt64BE(BigInt(first), 0);
  header.writeInt32BE(49 + records.length, 8);
  header.writeUInt8(2, 16);
  header.writeInt16BE(attributes, 21);
  header.writeInt32BE(count - 1, 23);
  header.writeBigInt64BE(1_700_000_000_000n, 27);
  header.writeBigInt64BE(1_700_000_000_009n, 35);
  header.writeInt32BE(count, 57);
  return Buffer.concat([header, records]);
}

/** Length, attributes, time and offset later by 0, no key, no value, no headers. */
const EMPTY = Buffer.from([12, 0, 0, 0, 1, 1, 0]);
const spent = () => ({ bytes: 0, records: 0 });

describe('decodeBatches', () => {
  it('gives the records of several batches, and leaves out one that is cut off', async () => {
    const whole = batch({ records: EMPTY });
    const [first, second, ...rest] = await decodeBatches(
      Buffer.concat([whole, batch({ first: 6, records: EMPTY }), whole.subarray(0, 65)]),
      spent(),
    );
    expect(first).toMatchObject({ offset: '5', key: null, value: null, timestamp: '1700000000000' });
    expect(second).toMatchObject({ offset: '6' });
    expect(rest).toEqual([]);
  });

  it.each([
    [
      'says that it has two thousand million records',
      batch({ count: 2_000_000_000, records: EMPTY }),
      'batch-records',
    ],
    ['has fewer records than it says', batch({ count: 3, records: EMPTY }), 'damaged'],
    ['is not what its attributes say', batch({ count: 3, attributes: 4, records: EMPTY }), 'damaged'],
    ['is compressed in an unknown way', batch({ count: 3, attributes: 7, records: EMPTY }), 'damaged'],
  ])('stands in with one record at its end for a batch that %s', async (_, set, reason) => {
    const messages = await decodeBatches(set, spent());
    expect(messages).toHaveLength(1);
    const [message] = messages;
    expect(message).toMatchObject({ value: null, unread: { reason, firstOffset: 5 } });
    expect(Number(message?.offset)).toBe(5 + set.readInt32BE(57) - 1);
  });

  it('leaves batches that are too many for one response to the next one', async () => {
    const set = Buffer.concat([batch({ records: EMPTY }), batch({ first: 6, records: EMPTY })]);
    const used = { bytes: 0, records: 99_999 };
    expect((await decodeBatches(set, used)).map(({ offset }) => offset)).toEqual(['5']);
    expect(await decodeBatches(set, used)).toEqual([]);
  });
});
