import { parseArgs } from 'node:util';
import { startParts } from '../../harness/parts.js';
import { BOUNDARIES } from './boundaries.js';
import { COLUMNS } from './columns.js';
import { cellsOf, runMatrix } from './matrix.js';
import { renderTable } from './table.js';
import { serversOf } from './world.js';

const USAGE = `npm run kills -- [options]

  --rows TEXT      boundaries whose name contains it; a comma list of such texts
  --columns TEXT   the same for engines and workers (${COLUMNS.map(({ id }) => id).join(', ')})
  --repeat N       the whole of it N times (1)
  --at-once N      cells at the same time (4)
  --list           names the cells and ends

Exit code 0: in every cell the process died where it had to, and all invariants hold afterwards; 1: not; 2: wrong use.
`;
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '' },
    columns: { type: 'string', default: '' },
    repeat: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '4' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const cells = cellsOf(chosen(BOUNDARIES, values.rows), chosen(COLUMNS, values.columns));

if (values.help) print(USAGE);
else if (values.list) for (const { boundary, column } of cells) print(`${boundary.id} ${column.id}`);
else if (cells.length === 0) {
  print(`no cell has these names\n\n${USAGE}`);
  process.exitCode = 2;
} else process.exit(await run());

async function run(): Promise<number> {
  const parts = await startParts((line) => print(`parts: ${line}`));
  try {
    const servers = serversOf(parts.states);
    const repeated = Array.from({ length: Number(values.repeat) }, () => cells).flat();
    const results = await runMatrix(repeated, servers, {
      atOnce: Number(values['at-once']),
      onResult: ({ boundary, column, outcome, detail, seconds }, done) => {
        print(`${done}/${repeated.length} ${boundary.id} ${column.id}: ${outcome} ${seconds.toFixed(1)} s`);
        if (detail !== '') print(detail.replace(/^/gm, '    '));
      },
    });
    print(renderTable(results));
    return results.every(({ outcome }) => outcome === 'ok') ? 0 : 1;
  } finally {
    await parts.stop();
  }
}

function chosen<T extends { readonly id: string }>(all: readonly T[], texts: string): readonly T[] {
  const wanted = texts.split(',').filter((text) => text !== '');
  return wanted.length === 0 ? all : all.filter(({ id }) => wanted.some((text) => id.includes(text)));
}
