import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  awsClients,
  createDatabase,
  describeWith,
  disposeLater,
  freshName,
  waitFor,
  type DatabaseEngine,
  type TestProcess,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { PATIENCE_MS, Rig, secretIdOf, withHook } from '../outages/rig.js';

/** Where a worker is stopped; what the store does meanwhile, where it matters. */
const STEPS: readonly { readonly step: string; readonly fault?: Fault }[] = [
  { step: 'before the claim' },
  { step: 'in the transaction of the claim' },
  // Carried out at once, answered when the worker is stopped.
  {
    step: 'during the write',
    fault: { kind: 'slow-answer', operation: 'PutSecretValue', times: 1, delayMs: 800 },
  },
  { step: 'after the write, before the commit' },
  { step: 'after the commit, before the publish' },
  { step: 'after the publish, before it is marked' },
  { step: 'before the offset is committed' },
];

/** The state that Linux shows of a process: `T` is stopped. */
function isStopped({ pid }: TestProcess): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

async function openStandin(): Promise<AwsStandin> {
  const standin = await startAwsStandin();
  disposeLater(() => standin.close());
  return standin;
}

async function openRig(
  kafka: string,
  engine: DatabaseEngine,
  standin: AwsStandin,
  step: string,
): Promise<Rig> {
  const { url } = await createDatabase(engine);
  const { env } = awsClients(standin.url);
  return Rig.open({
    ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws', partitions: 1 },
    env: { ...env, STOP_AT: step },
  });
}

const lastValueOf = (standin: AwsStandin, name: string): string | null | undefined =>
  standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value;

/**
 * One worker stops at a step of an event, for longer than its claim and its session; another takes over and applies a
 * newer event; the first one wakes up and goes on where it was.
 */
async function stopAndWake(
  kafka: string,
  engine: DatabaseEngine,
  { step, fault }: (typeof STEPS)[number],
): Promise<void> {
  const standin = await openStandin();
  const rig = await openRig(kafka, engine, standin, step);
  const name = freshName('zombie');
  // Its first version comes from a worker that nothing happens to, so that there is something to write over.
  const first = await rig.startReady();
  await rig.publish(name);
  await rig.applied(name);
  expect((await first.stop()).code).toBe(0);
  if (fault !== undefined) standin.fault({ ...fault, secretId: secretIdOf(name) });

  const zombie = await rig.startReady(withHook('stop.mjs'));
  await rig.publish(name);
  await waitFor(() => isStopped(zombie), { what: `a worker stopped ${step}`, timeoutMs: PATIENCE_MS });

  const successor = await rig.startReady();
  const newest = await rig.publish(name);
  await rig.applied(name, 2 * PATIENCE_MS);
  const from = zombie.lineCount();
  zombie.resume();
  await zombie.waitForLine('joined the group', { from, timeoutMs: 2 * PATIENCE_MS });
  await rig.expectInvariants(standin.url, [zombie, successor], ['names in doubt']);
  for (const worker of [zombie, successor])
    expect(await worker.stop(PATIENCE_MS), `${step}\n${worker.stderr()}`).toEqual({ code: 0, signal: null });
  expect(lastValueOf(standin, name), step).toBe(newest);
  await rig.expectNothingLost();
}

describeWith(['kafka', 'postgres', 'mariadb'], 'a worker that was stopped and wakes up', ({ kafka }) => {
  it.each<DatabaseEngine>(['postgres', 'mariadb'])(
    `%s: puts nothing old over anything new (${STEPS.map(({ step }) => step).join('; ')})`,
    async (engine) => {
      await Promise.all(STEPS.map((step) => stopAndWake(kafka, engine, step)));
    },
    600_000,
  );
});
