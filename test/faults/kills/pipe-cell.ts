import { appendFileSync, writeFileSync } from 'node:fs';
import { queryDatabase, waitFor } from '../../harness/index.js';
import type { TestProcess } from '../../harness/start-process.js';
import { unsettled } from '../checker/index.js';
import type { Boundary, Kill } from './boundary.js';
import { Scenario } from './scenario.js';
import { killDuring } from './store-kill.js';
import { KillPlan, startHooked } from './worker.js';
import type { World } from './world.js';

const RUN_MS = 120_000;
/** Some lines became dead letters. */
const DEAD_LETTERS = 3;
/** Nothing looks after stored secrets in a pipe: these are left to the next `start`. */
const LEFT_TO_JANITOR = ['names in doubt'] as const;

/**
 * The same input again and again, until a run comes to its end.
 *
 * @param logs gets what the runs printed, also where it fails
 */
export async function runPipeCell(
  world: World,
  { orphan = false, leavesToRelay = false }: Boundary,
  kills: readonly Kill[],
  logs: Record<string, string>,
): Promise<void> {
  const plan = new KillPlan(world.dir, kills, { spare: false, armed: false });
  const scenario = new Scenario();
  writeFileSync(world.inFile, world.lines([...scenario.round({ orphan }), ...scenario.round()]));
  appendFileSync(world.outFile, '');
  for (const index of kills.keys()) {
    const exit = await runOnce(world, plan, index, logs);
    if (exit.signal !== 'SIGKILL' || plan.reachedBy(index) === null)
      throw new Error(`kill ${index + 1} was not reached; the pipe ended with ${String(exit.code)}`);
    if (leavesToRelay) await claimsEnded(world);
  }
  const exit = await runOnce(world, plan, kills.length, logs);
  if (exit.code !== DEAD_LETTERS)
    throw new Error(`the last run ended with ${String(exit.code ?? exit.signal)}\n${lastOf(logs)}`);
  const open = await unsettled(world.checkInput(logs), LEFT_TO_JANITOR);
  if (open.length > 0) throw new Error(`after the last run: ${open.join(', ')}`);
}

async function claimsEnded(world: World): Promise<void> {
  const look = async (): Promise<boolean> => {
    const sql = `SELECT COUNT(*) AS n FROM connection WHERE claim_expires_at_ms > ${Date.now()}`;
    const [row] = await queryDatabase({ url: world.databaseUrl }, sql);
    return Number(row?.['n']) === 0;
  };
  await waitFor(look, { what: 'the end of all claims', timeoutMs: RUN_MS, intervalMs: 200 });
}

async function runOnce(
  world: World,
  plan: KillPlan,
  index: number,
  logs: Record<string, string>,
): ReturnType<TestProcess['waitForExit']> {
  const kill = plan.kills[index];
  const pipe = startHooked(
    ['pipe', '--in', world.inFile, '--out', world.outFile],
    world,
    plan,
    `run-${index}`,
  );
  try {
    if (kill !== undefined && 'during' in kill)
      await killDuring(
        world,
        plan,
        { index, during: kill.during },
        {
          wait: (look, what) => waitFor(look, { what, timeoutMs: RUN_MS, intervalMs: 5 }),
          processOf: () => pipe,
        },
      );
    return await pipe.waitForExit(RUN_MS);
  } finally {
    logs[`run ${index + 1}`] = pipe.stdout() + pipe.stderr();
    await pipe.dispose();
  }
}

function lastOf(logs: Readonly<Record<string, string>>): string {
  return (Object.values(logs).at(-1) ?? '').split('\n').slice(-8).join('\n');
}
