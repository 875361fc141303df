import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_DIR } from '../../harness/index.js';
import { messageOf } from '../../harness/names.js';
import { checkInvariants, describeViolations } from '../checker/index.js';
import type { Boundary, Kill } from './boundary.js';
import type { Column } from './columns.js';
import { runPipeCell } from './pipe-cell.js';
import { runStartCell } from './start-cell.js';
import { World, type Servers } from './world.js';

/** Ignored by git. */
const LOG_DIR = join('.tmp', 'kills');

export interface Cell {
  readonly boundary: Boundary;
  readonly column: Column;
}

export interface CellResult extends Cell {
  /** `ok`: the process died there, and all invariants hold; `violated`: one does not; `broken`: anything else. */
  readonly outcome: 'ok' | 'violated' | 'broken';
  /** What is wrong, one line each; empty: nothing. */
  readonly detail: string;
  readonly seconds: number;
}

/** The kills of a cell; null: there is no such cell. */
export function killsOf({ boundary, column }: Cell): readonly Kill[] | null {
  if (boundary.isSingle === true && column.dies === 'other') return null;
  return column.workers === null ? boundary.pipe : boundary.kafka;
}

/** One cell of the matrix: a world of its own, a process that dies at the boundary, another run, the invariants. */
export async function runCell(cell: Cell, servers: Servers): Promise<CellResult> {
  const startedMs = performance.now();
  const logs: Record<string, string> = {};
  const done = (outcome: CellResult['outcome'], detail = ''): CellResult => {
    const kept = outcome === 'ok' ? [] : [`what the processes printed: ${keepLogs(cell, logs)}`];
    const seconds = (performance.now() - startedMs) / 1_000;
    return { ...cell, outcome, detail: [detail, ...kept].join('\n').trim(), seconds };
  };
  const kills = killsOf(cell);
  if (kills === null) return done('broken', `${cell.boundary.id} is no boundary of ${cell.column.id}`);
  const { engine, workers } = cell.column;
  let world: World | null = null;
  try {
    world = await World.create({
      engine,
      brokers: workers === null ? null : servers.kafka,
      server: engine === 'sqlite' ? '' : servers[engine],
      env: cell.boundary.env ?? {},
    });
    for (const fault of cell.boundary.faults ?? []) world.standin.fault(fault);
    if (workers === null) await runPipeCell(world, cell.boundary, kills, logs);
    else await runStartCell(world, cell.boundary, kills, { workers, dies: cell.column.dies }, logs);
    const violations = await checkInvariants(world.checkInput(logs));
    return violations.length === 0 ? done('ok') : done('violated', describeViolations(violations));
  } catch (error) {
    return done('broken', messageOf(error));
  } finally {
    await world?.dispose();
  }
}

/** Returns the file, relative to the project. */
function keepLogs({ boundary, column }: Cell, logs: Readonly<Record<string, string>>): string {
  const name = `${boundary.id.replaceAll('/', '-')}-${column.id}-${Date.now()}.log`;
  mkdirSync(join(PROJECT_DIR, LOG_DIR), { recursive: true });
  const texts = Object.entries(logs).map(([title, text]) => `--- ${title}\n${text}`);
  writeFileSync(join(PROJECT_DIR, LOG_DIR, name), texts.join('\n'));
  return join(LOG_DIR, name);
}
