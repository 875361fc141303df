import { appendFileSync, writeFileSync } from 'node:fs';
import { HopelessError, queryDatabase, waitFor } from '../../harness/index.js';
import type { Exit, TestProcess } from '../../harness/start-process.js';
import { unsettled } from '../checker/index.js';
import type { Boundary, Kill } from './boundary.js';
import { Scenario } from './scenario.js';
import { killDuring } from './store-kill.js';
import { KillPlan, startHooked } from './worker.js';
import type { Manager, World } from './world.js';

const RUN_MS = 120_000;
/** Where the store did not answer in time, as on a machine that is too busy, a run says this at its end, and ends. */
const LEFT_TO_THE_NEXT = 'the next run looks at them again';
const MORE_RUNS = 3;
/** Some lines became dead letters. */
const DEAD_LETTERS = 3;

/**
 * The same input again and again, until a run comes to its end.
 *
 * @param logs gets what the runs printed, also where it fails
 */
export async function runPipeCell(
  world: World,
  { orphan = false, leavesToRelay = false, migrates = false }: Boundary,
  kills: readonly Kill[],
  logs: Record<string, string>,
): Promise<void> {
  const plan = new KillPlan(world.dir, kills, { spare: false, armed: false });
  const run = (index: number): Promise<Exit> =>
    runOnce(world, { plan, index, manager: migrates ? 'managed-aws-ssm' : 'managed-aws' }, logs);
  const scenario = new Scenario();
  writeFileSync(world.inFile, world.lines(scenario.round({ orphan })));
  appendFileSync(world.outFile, '');
  if (migrates) await workUnder('managed-aws', world, logs);
  appendFileSync(world.inFile, world.lines(scenario.round()));
  for (const index of kills.keys()) {
    const exit = await run(index);
    if (exit.signal !== 'SIGKILL' || plan.reachedBy(index) === null)
      throw new Error(`kill ${index + 1} was not reached; the pipe ended with ${String(exit.code)}`);
    if (leavesToRelay) await claimsEnded(world);
  }
  for (let more = 0; ; more += 1) {
    requireEnd(await run(kills.length + more), logs);
    const open = await unsettled(world.checkInput(logs));
    if (open.length === 0) return;
    if (more === MORE_RUNS || !lastOf(logs).includes(LEFT_TO_THE_NEXT))
      throw new Error(`after the last run: ${open.join(', ')}`);
  }
}

/** A run that nobody ends; those after it work under another manager. */
async function workUnder(manager: Manager, world: World, logs: Record<string, string>): Promise<void> {
  const plan = new KillPlan(world.dir, [], { spare: false, armed: false });
  requireEnd(await runOnce(world, { plan, index: -1, manager }, logs), logs);
}

function requireEnd({ code, signal }: Exit, logs: Readonly<Record<string, string>>): void {
  if (code !== DEAD_LETTERS) throw new Error(`a run ended with ${String(code ?? signal)}\n${lastOf(logs)}`);
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
  { plan, index, manager }: { readonly plan: KillPlan; readonly index: number; readonly manager: Manager },
  logs: Record<string, string>,
): Promise<Exit> {
  const kill = plan.kills[index];
  const pipe = startHooked(
    ['pipe', '--in', world.inFile, '--out', world.outFile],
    world,
    plan,
    `run-${index}`,
    manager,
  );
  try {
    if (kill !== undefined && 'during' in kill)
      await killDuring(
        world,
        plan,
        { index, during: kill.during },
        {
          wait: (look, what) =>
            waitFor(() => look() ?? requireRunning(pipe), { what, timeoutMs: RUN_MS, intervalMs: 5 }),
          processOf: () => pipe,
        },
      );
    return await pipe.waitForExit(RUN_MS);
  } finally {
    logs[`run ${index + 1}`] = pipe.stdout() + pipe.stderr();
    await pipe.dispose();
  }
}

/** What a pipe has not done before its end it does not do any more. */
function requireRunning(pipe: TestProcess): undefined {
  if (!pipe.running) throw new HopelessError(`the pipe ended before\n${pipe.stderr()}`);
}

function lastOf(logs: Readonly<Record<string, string>>): string {
  return (Object.values(logs).at(-1) ?? '').split('\n').slice(-8).join('\n');
}
