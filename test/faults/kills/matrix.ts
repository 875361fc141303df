import type { Boundary } from './boundary.js';
import { killsOf, runCell, type Cell, type CellResult } from './cell.js';
import type { Column } from './columns.js';
import type { Servers } from './world.js';

/** All cells of these rows and columns but those that are not: a pipe joins no group. */
export function cellsOf(boundaries: readonly Boundary[], columns: readonly Column[]): Cell[] {
  return boundaries
    .flatMap((boundary) => columns.map((column) => ({ boundary, column })))
    .filter((cell) => killsOf(cell) !== null);
}

export interface MatrixOptions {
  /** How many cells run at the same time: they mostly wait for claims and sessions to run out. */
  readonly atOnce: number;
  /** Called after each cell; `done`: how many are. */
  readonly onResult?: (result: CellResult, done: number) => void;
}

/** Runs these cells; the results are in their order. */
export async function runMatrix(
  cells: readonly Cell[],
  servers: Servers,
  { atOnce, onResult }: MatrixOptions,
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let cell = cells[next]; cell !== undefined; cell = cells[next]) {
      const index = next;
      next += 1;
      const result = await runCell(cell, servers);
      results[index] = result;
      done += 1;
      onResult?.(result, done);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}
