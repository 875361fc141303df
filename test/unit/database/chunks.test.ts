import { expect, it } from 'vitest';
import { rowChunks, valueChunks } from '../../../src/database/row-sql.js';

const lengths = (chunks: Iterable<unknown[]>): number[] => [...chunks].map((chunk) => chunk.length);

it('values and rows below the drivers’ limits, in their order, none left out', () => {
  const values = Array.from({ length: 12_001 }, (_, index) => index);
  expect(lengths(valueChunks(values))).toEqual([5_000, 5_000, 2_001]);
  expect([...valueChunks(values)].flat()).toEqual(values);
  expect(lengths(valueChunks([]))).toEqual([]);
  const rows = values.slice(0, 1_000).map((id) => ({ id, text: 'x' }));
  expect(lengths(rowChunks(rows))).toEqual([400, 400, 200]);
  expect([...rowChunks(rows)].flat()).toEqual(rows);
});

it('rows below a million characters together; one that is longer goes alone', () => {
  const row = (length: number) => ({ text: 'x'.repeat(length), other: null });
  expect(lengths(rowChunks([row(600_000), row(400_000), row(1)]))).toEqual([2, 1]);
  expect(lengths(rowChunks([row(1), row(5_000_000), row(1)]))).toEqual([1, 1, 1]);
});
