import { beforeAll, expect, it } from 'vitest';
import { describeWith } from '../harness/index.js';
import { BOUNDARIES } from './kills/boundaries.js';
import type { Cell, CellResult } from './kills/cell.js';
import { COLUMNS } from './kills/columns.js';
import { cellsOf, runMatrix } from './kills/matrix.js';

const AT_ONCE = 8;
const LONGEST_MS = 1_800_000;

/** Each boundary once; which engine and how many workers, the seed says. */
function chosenCells(seed: number): Cell[] {
  return BOUNDARIES.flatMap((boundary, index) => {
    const cells = cellsOf([boundary], COLUMNS);
    const cell = cells[(seed + index * 3) % cells.length];
    return cell === undefined ? [] : [cell];
  });
}

// The whole matrix is `npm run test:faults`; docs/development.md says how it works.
describeWith(['kafka', 'postgres', 'mariadb'], 'a process that is killed', (servers) => {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000);
  const cells = chosenCells(seed);
  const results = new Map<string, CellResult>();

  beforeAll(async () => {
    console.log(`kill matrix: seed ${seed} (TEST_SEED)`);
    // Here and not in the tests: what is created in a test ends with it, and cells overlap.
    await runMatrix(cells, servers, {
      atOnce: AT_ONCE,
      onResult: (result) => results.set(result.boundary.id, result),
    });
  }, LONGEST_MS);

  it.each(cells.map(({ boundary, column }) => ({ id: boundary.id, column: column.id, boundary })))(
    '$id on $column: nothing lost, nothing leaked, nothing old over new',
    ({ id }) => {
      const { outcome, detail } = results.get(id)!;
      expect(detail).toBe('');
      expect(outcome).toBe('ok');
    },
  );
});
