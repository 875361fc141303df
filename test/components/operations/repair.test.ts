import { describe, expect, it } from 'vitest';
import { CONNECTION, deletion, eventRecord, PASSWORD_ID } from '../pipeline/events.js';
import type { Bench } from '../secrets/fixture.js';
import type { AwsStandin } from '../../harness/aws-standin/index.js';
import { inStore, openAwsBench, type AwsManager } from './aws-bench.js';

const NOTHING = { deleted: 0, repaired: 0, lost: 0 };
const MANAGERS = ['managed-aws', 'managed-aws-ssm'] as const;
const PUT = { 'managed-aws': 'PutSecretValue', 'managed-aws-ssm': 'PutParameter' } as const;
const CREATE = { 'managed-aws': 'CreateSecret', 'managed-aws-ssm': 'PutParameter' } as const;

/** Short enough to wait for. */
const open = (manager: AwsManager) => openAwsBench(manager, { STORE_TIMEOUT_MS: '500' });

/** A write without an answer, `lands` or not; then its claim runs out. */
async function unanswered(
  { bench, aws }: { bench: Bench; aws: AwsStandin },
  operation: string,
  lands: boolean,
  event: Parameters<typeof eventRecord>[0],
): Promise<void> {
  const fault = aws.fault({ kind: lands ? 'hang-after' : 'hang', operation });
  await expect(bench.handle(eventRecord(event))).rejects.toMatchObject({ retryable: true });
  aws.clearFaults(fault);
  await bench.expireClaims();
}

describe.each(MANAGERS)('what an expired claim has left in %s', (manager) => {
  it.each([true, false])('retires a new name (landed: %s) and deletes it after the grace', async (lands) => {
    const world = await open(manager);
    const { bench, aws } = world;
    await unanswered(world, CREATE[manager], lands, { password: 'MARK-a' });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'writing' });
    await bench.tidy();
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    expect((await bench.audit()).at(-1)).toMatchObject({ action: 'retire', secret_id: PASSWORD_ID });
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING); // in doubt: the request may still land
    await bench.endDoubt();
    await bench.tidy();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(inStore(aws, PASSWORD_ID)?.scheduledForDeletion ?? true).toBe(true);
  });

  it('undoes a change that landed uncommitted: the recorded version is current again', async () => {
    const world = await open(manager);
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, PUT[manager], true, { password: 'MARK-b', at: 2 });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-b');
    await bench.tidy();
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-b');
    await bench.endDoubt();
    expect(await bench.tidy()).toEqual({ ...NOTHING, repaired: 1 });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-a');
    expect((await bench.audit()).at(-1)).toMatchObject({ action: 'repair', secret_id: PASSWORD_ID });
    const { version } = inStore(aws, PASSWORD_ID) ?? {};
    expect(await bench.query('SELECT version, suspect_until_ms FROM stored_secret')).toEqual([
      { version, suspect_until_ms: null },
    ]);
    expect(await bench.tidy()).toEqual(NOTHING);
    await bench.expectNowhereElse('MARK-');
  });
});

describe.each(MANAGERS)('a request that lands after its claim has expired, in %s', (manager) => {
  it('comes too late: the value committed since becomes current again', async () => {
    const world = await open(manager);
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, PUT[manager], false, { password: 'MARK-b', at: 2 });
    await expect(bench.handle(eventRecord({ password: 'MARK-c', at: 3 }))).resolves.toBe('applied');
    await bench.land({ secretId: PASSWORD_ID, connectionId: CONNECTION, value: 'MARK-b' });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-b');
    expect(await bench.tidy()).toEqual(NOTHING); // others could still land
    await bench.endDoubt();
    expect(await bench.tidy()).toEqual({ ...NOTHING, repaired: 1 });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-c');
  });

  it('needs no repair if it never lands: one look, no write', async () => {
    const world = await open(manager);
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, PUT[manager], false, { password: 'MARK-b', at: 2 });
    await bench.handle(eventRecord({ password: 'MARK-c', at: 3 }));
    await bench.endDoubt();
    const writes = aws.calls.filter(({ write }) => write).length;
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(aws.calls.filter(({ write }) => write)).toHaveLength(writes);
    const [row] = await bench.query('SELECT suspect_until_ms FROM stored_secret');
    expect(row).toEqual({ suspect_until_ms: null });
  });

  it('and the recorded version is gone from the store: lost, said once an hour, nothing is overwritten', async () => {
    const world = await open(manager);
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, PUT[manager], false, { password: 'MARK-b', at: 2 });
    await bench.handle(eventRecord({ password: 'MARK-c', at: 3 }));
    const { tags } = inStore(aws, PASSWORD_ID) ?? {};
    aws.reset();
    aws.seed(manager === 'managed-aws' ? 'secretsmanager' : 'ssm', {
      secretId: PASSWORD_ID,
      value: 'another',
      ...(tags === undefined ? {} : { tags }),
    });
    await bench.endDoubt();
    expect(await bench.tidy()).toEqual({ ...NOTHING, lost: 1 });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('another');
    expect((await bench.audit()).at(-1)).toMatchObject({ action: 'lost', secret_id: PASSWORD_ID });
    expect(await bench.tidy()).toEqual(NOTHING);
    await expect(bench.handle(eventRecord({ password: 'MARK-c', at: 4 }))).resolves.toBe('applied');
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-c');
  });

  it('a deleted connection stays deleted', async () => {
    const world = await open(manager);
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, PUT[manager], false, { password: 'MARK-b', at: 2 });
    await bench.handle(deletion(3));
    await bench.land({ secretId: PASSWORD_ID, connectionId: CONNECTION, value: 'MARK-b' });
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING);
    await bench.endDoubt();
    await bench.tidy();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(inStore(aws, PASSWORD_ID)?.scheduledForDeletion ?? true).toBe(true);
  });
});

describe('in doubt and scheduled for deletion by somebody else', () => {
  it('is restored, because a reader would not find it', async () => {
    const world = await open('managed-aws');
    const { bench, aws } = world;
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await unanswered(world, 'PutSecretValue', false, { password: 'MARK-b', at: 2 });
    await bench.handle(eventRecord({ password: 'MARK-c', at: 3 }));
    await bench.delete(PASSWORD_ID, CONNECTION);
    expect(inStore(aws, PASSWORD_ID)?.scheduledForDeletion).toBe(true);
    await bench.endDoubt();
    expect(await bench.tidy()).toEqual({ ...NOTHING, repaired: 1 });
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({ scheduledForDeletion: false, value: 'MARK-c' });
  });
});
