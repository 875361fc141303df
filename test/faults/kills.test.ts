import { beforeAll, expect, it } from 'vitest';
import { describeWith } from '../harness/index.js';
import { BOUNDARIES } from './kills/boundaries.js';
import type { Boundary } from './kills/boundary.js';
import type { Cell, CellResult } from './kills/cell.js';
import { chainsOf, idsOf, joined } from './kills/chains.js';
import { COLUMNS, type Column } from './kills/columns.js';
import { cellsOf, runMatrix } from './kills/matrix.js';

const AT_ONCE = 8;
const LONGEST_MS = 1_800_000;

/**
 * Each boundary once, several of a kind in one world; which engine and how many workers, the seed says. Of several
 * shards (`TEST_SHARD`) each has its part of the boundaries, whatever its seed.
 */
function chosenCells(seed: number): Cell[] {
  const [shard = 1, shards = 1] = (process.env['TEST_SHARD'] ?? '1/1').split('/').map(Number);
  return chainsOf(BOUNDARIES).flatMap(([first, ...others], index) => {
    if (first === undefined || index % shards !== shard - 1) return [];
    const columns = cellsOf([first], COLUMNS).map(({ column }) => column);
    const column = columns[(seed + index * 3) % columns.length];
    if (column === undefined) return [];
    return sharesWorld(first, column)
      ? [{ boundary: joined([first, ...others]), column }]
      : cellsOf([first, ...others], [column]);
  });
}

/** A pipe has one input, in which not everything comes more than once; and one that starts again starts alone. */
function sharesWorld({ atStart = false }: Boundary, { workers, dies }: Column): boolean {
  return workers !== null && !(atStart && dies === 'other');
}

// The whole matrix is `npm run kills`; docs/development.md says how it works.
describeWith(['kafka', 'postgres', 'mariadb'], 'a process that is killed', (servers) => {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000);
  const cells = chosenCells(seed);
  const results = new Map<string, CellResult>();

  beforeAll(async () => {
    console.log(`kill matrix: seed ${seed} (TEST_SEED)`);
    // Here and not in the tests: what is created in a test ends with it, and cells overlap.
    await runMatrix(cells, servers, {
      atOnce: AT_ONCE,
      onResult: (result) => {
        for (const id of idsOf(result.boundary)) results.set(id, result);
      },
    });
  }, LONGEST_MS);

  const each = cells.flatMap(({ boundary, column }) =>
    idsOf(boundary).map((id) => ({ id, column: column.id })),
  );

  it.each(each)('$id on $column: nothing lost, nothing leaked, nothing old over new', ({ id }) => {
    const { outcome, detail } = results.get(id)!;
    expect(detail).toBe('');
    expect(outcome).toBe('ok');
  });
});
