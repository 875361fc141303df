import { describe, expect, it } from 'vitest';
import { CONNECTION, deletion, eventRecord, MASKED, OTHER, PASSWORD_ID } from '../pipeline/events.js';
import { plantReference } from '../pipeline/planted.js';
import { waitFor } from '../../harness/index.js';
import { Bench } from '../secrets/fixture.js';
import { inStore, openAwsBench } from './aws-bench.js';

const NOTHING = { deleted: 0, repaired: 0, lost: 0 };
const RENAMED_ID = PASSWORD_ID.replace('mysql-test', 'renamed');
const AUTH_ID = PASSWORD_ID.replace('/password', '/authtype/password');
const AWS_ID = PASSWORD_ID.replace('/password', '/authtype/awsconfig/awssecretaccesskey');

describe('a secret that no field uses is deleted after the grace, not before', () => {
  it.each([
    ['cleared', eventRecord({ password: null, at: 2 }), PASSWORD_ID, { [PASSWORD_ID]: 'deleted' }],
    ['left out of the full state', eventRecord({ at: 2 }), PASSWORD_ID, { [PASSWORD_ID]: 'deleted' }],
    ['hard deletion', deletion(2), PASSWORD_ID, { [PASSWORD_ID]: 'deleted' }],
    [
      'renamed',
      eventRecord({ name: 'renamed', password: MASKED, at: 2 }),
      PASSWORD_ID,
      { [PASSWORD_ID]: 'deleted', [RENAMED_ID]: 'live' },
    ],
    [
      'replaced by an external reference',
      eventRecord({ password: 'secret:/team-a/x', at: 2 }),
      PASSWORD_ID,
      { [PASSWORD_ID]: 'deleted' },
    ],
  ])('%s', async (_, event, secretId, end) => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(event);
    expect(bench.last?.outcome).toBe('applied');
    expect((await bench.stored())[secretId]).toBe('retired');
    const [row] = await bench.query(
      `SELECT due_at_ms - updated_at_ms AS grace FROM stored_secret WHERE state = 'retired'`,
    );
    expect(row?.['grace']).toBe(86_400_000);
    const { calls } = bench;
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(bench.calls).toBe(calls);
    expect(await bench.valueOf(secretId)).toBe('MARK-a');
    await bench.endGrace();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(await bench.valueOf(secretId)).toBeNull();
    expect(await bench.stored()).toEqual(end);
    expect(await bench.tidy()).toEqual(NOTHING);
  });

  it('each secret of a connection has its own grace', async () => {
    const bench = await Bench.open();
    await bench.handle(
      eventRecord({ password: 'MARK-a', config: { authType: { password: 'MARK-b' } }, at: 1 }),
    );
    await bench.handle(eventRecord({ config: { authType: { password: MASKED } }, at: 2 }));
    await bench.endGrace();
    await bench.handle(eventRecord({ at: 3 }));
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleted', [AUTH_ID]: 'retired' });
    expect(await bench.valueOf(AUTH_ID)).toBe('MARK-b');
  });

  it('another branch of a oneOf: authType.password → authType.awsConfig.awsSecretAccessKey', async () => {
    const bench = await Bench.open();
    const password = { authType: { password: 'MARK-password' } };
    const key = { authType: { awsConfig: { awsSecretAccessKey: 'MARK-key' } } };
    await bench.handle(eventRecord({ config: password, at: 1 }));
    await bench.handle(eventRecord({ config: key, at: 2 }));
    expect(await bench.stored()).toEqual({ [AUTH_ID]: 'retired', [AWS_ID]: 'live' });
    await bench.endGrace();
    await bench.tidy();
    expect(await bench.stored()).toEqual({ [AUTH_ID]: 'deleted', [AWS_ID]: 'live' });
    expect([await bench.valueOf(AUTH_ID), await bench.valueOf(AWS_ID)]).toEqual([null, 'MARK-key']);
  });

  it('a soft deletion retires nothing', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: MASKED, at: 2, eventType: 'entitySoftDeleted' }));
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
  });

  it('survives restarts, because the database has what is left to do', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    await bench.restart();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(aws.secrets()).toEqual([]);
  });

  it('after a crash between the request and its commit, the request is sent again once the first can no longer land', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    aws.fault({ kind: 'drop-after', operation: 'DeleteParameter', times: 1 });
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleting' });
    expect(await bench.tidy()).toEqual(NOTHING);
    await bench.restart();
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING); // the claim of the attempt without an answer has to run out
    await bench.expireClaims();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleted' });
  });

  it('a refused deletion stays retired and is tried again later', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    const fault = aws.fault({ kind: 'deny', operation: 'DeleteParameter' });
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'retired' });
    const calls = aws.calls.length;
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(aws.calls).toHaveLength(calls);
    aws.clearFaults(fault);
    await bench.endGrace();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
  });
});

describe('what is never deleted', () => {
  it('an external reference', async () => {
    const { bench, aws } = await openAwsBench('managed-aws');
    aws.seed('secretsmanager', { secretId: '/team-a/x', value: 'theirs' });
    await bench.handle(eventRecord({ password: 'secret:/team-a/x', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    await bench.tidy();
    expect(inStore(aws, '/team-a/x')).toMatchObject({ value: 'theirs', scheduledForDeletion: false });
    expect(aws.calls).toEqual([]);
  });

  it.each(['managed-aws', 'managed-aws-ssm'] as const)(
    'a secret without our tag, in %s: forgotten, untouched',
    async (manager) => {
      const { bench, aws } = await openAwsBench(manager);
      await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
      await bench.handle(deletion(2));
      const service = manager === 'managed-aws' ? 'secretsmanager' : 'ssm';
      aws.reset();
      aws.seed(service, { secretId: PASSWORD_ID, value: 'theirs now' });
      await bench.endGrace();
      expect(await bench.tidy()).toEqual(NOTHING);
      expect(inStore(aws, PASSWORD_ID)).toMatchObject({ value: 'theirs now', scheduledForDeletion: false });
      expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'deleted' });
      expect((await bench.actions()).at(-1)).toBe('forget');
      const calls = aws.calls.length;
      await bench.endGrace();
      await bench.tidy();
      expect(aws.calls).toHaveLength(calls);
    },
  );

  it('an id that is in use again', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: null, at: 2 }));
    await bench.handle(eventRecord({ password: 'MARK-b', at: 3 }));
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-b');
  });

  it('an id that a live field of another connection names', async () => {
    const bench = await Bench.open();
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const other = { id: OTHER, name: 'other' };
    await plantReference(bench.worker, (record) => bench.handle(record), other, PASSWORD_ID);
    await bench.handle(deletion(2));
    await bench.endGrace();
    expect(await bench.tidy()).toEqual(NOTHING);
    expect(await bench.valueOf(PASSWORD_ID)).toBe('MARK-a');
    await bench.handle(eventRecord({ id: OTHER, name: 'other', password: null, at: 3 }));
    await bench.endGrace();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
  });

  it('an event that uses an id whose deletion may be on its way is tried again later', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: null, at: 2 }));
    await bench.endGrace();
    aws.fault({ kind: 'drop', operation: 'DeleteParameter', times: 1 });
    await bench.tidy();
    await bench.expireClaims();
    const again = eventRecord({ password: 'MARK-b', at: 3 });
    await expect(bench.handle(again)).rejects.toMatchObject({ retryable: true });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-a');
    await bench.endGrace();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    await expect(bench.handle(again)).resolves.toBe('applied');
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-b');
  });
});

describe('names that are needed again', () => {
  it('two janitors at once: each secret is deleted once', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    const ids = Array.from({ length: 8 }, (_, at) => `${CONNECTION.slice(0, -2)}${at + 10}`);
    for (const id of ids) await bench.handle(eventRecord({ id, name: `n-${id}`, password: 'MARK-a' }));
    for (const id of ids) await bench.handle(deletion(2, { id, name: `n-${id}` }));
    await bench.endGrace();
    const other = bench.otherJanitor();
    const signal = new AbortController().signal;
    const [one, two] = await Promise.all([bench.tidy(), other.run(signal)]);
    expect(one.deleted + two.deleted).toBe(8);
    expect(aws.calls.filter(({ operation }) => operation === 'DeleteParameter')).toHaveLength(8);
    expect(aws.secrets()).toEqual([]);
  });

  it('another connection can take over a name only after its grace, and does so by itself then', async () => {
    const { bench, aws } = await openAwsBench('managed-aws-ssm');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    const next = eventRecord({ id: OTHER, password: 'MARK-b', at: 3 });
    for (let tries = 0; tries < 9; tries += 1) await bench.handle(next);
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_COLLISION' });
    expect(inStore(aws, PASSWORD_ID)?.value).toBe('MARK-a');
    const [pause] = await bench.query('SELECT next_attempt_at_ms - updated_at_ms AS ms FROM dead_letter');
    expect(Number(pause?.['ms'])).toBe(300_000);
    const { pipeline } = bench.worker;
    const signal = new AbortController().signal;
    expect(await pipeline.retryKept(signal)).toBe(0);
    await bench.endGrace();
    await bench.tidy();
    expect(await pipeline.retryKept(signal)).toBe(1);
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({ value: 'MARK-b', tags: { 'connection-id': OTHER } });
    const [row] = await bench.query('SELECT connection_id, state FROM stored_secret');
    expect(row).toEqual({ connection_id: OTHER, state: 'live' });
  });
});

describe('Secrets Manager', () => {
  it('deletes with the configured recovery window, and restores and writes a secret that is needed again', async () => {
    const { bench, aws } = await openAwsBench('managed-aws', { AWS_SM_RECOVERY_WINDOW_DAYS: '9' });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(eventRecord({ password: null, at: 2 }));
    await bench.endGrace();
    expect(await bench.tidy()).toEqual({ ...NOTHING, deleted: 1 });
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({ scheduledForDeletion: true });
    expect(await bench.valueOf(PASSWORD_ID)).toBeNull();
    await expect(bench.handle(eventRecord({ password: 'MARK-b', at: 3 }))).resolves.toBe('applied');
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({ scheduledForDeletion: false, value: 'MARK-b' });
    expect((await bench.actions()).slice(-2)).toEqual(['delete', 'restore']);
  });

  it('AWS_SM_FORCE_DELETE deletes at once', async () => {
    const { bench, aws } = await openAwsBench('managed-aws', { AWS_SM_FORCE_DELETE: 'true' });
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    await bench.tidy();
    expect(aws.secrets()).toEqual([]);
  });

  it('another connection takes over a name scheduled for deletion: it is restored, tagged anew and audited', async () => {
    const { bench, aws } = await openAwsBench('managed-aws');
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await bench.handle(deletion(2));
    await bench.endGrace();
    await bench.tidy();
    await bench.handle(eventRecord({ id: OTHER, password: 'MARK-b', at: 3, actor: 'eve' }));
    expect(bench.last).toMatchObject({ outcome: 'applied' });
    expect(inStore(aws, PASSWORD_ID)).toMatchObject({
      value: 'MARK-b',
      scheduledForDeletion: false,
      tags: { 'connection-id': OTHER },
    });
    expect((await bench.audit(`connection_id = '${OTHER}'`)).at(-1)).toMatchObject({
      secret_id: PASSWORD_ID,
      actor: 'eve',
      detail: `taken over from connection ${CONNECTION}`,
    });
  });
});

describe('for a process that ends afterwards', () => {
  const CLAIM_MS = 3_000;
  const SHORT = { CLAIM_MS: String(CLAIM_MS), STORE_TIMEOUT_MS: '500' };

  async function finish({ worker }: Bench, signal = new AbortController().signal) {
    const waits: number[] = [];
    const onWait = (waitMs: number): unknown => waits.push(waitMs);
    const isInDoubt = await worker.janitor.finish(
      { claimMs: CLAIM_MS, onRound: () => undefined, onWait },
      signal,
    );
    return { isInDoubt, waits };
  }

  /** A new secret whose write has no answer; its claim goes on. */
  async function unanswered({ bench, aws }: Awaited<ReturnType<typeof openAwsBench>>): Promise<void> {
    const fault = aws.fault({ kind: 'hang-after', operation: 'CreateSecret' });
    await expect(bench.handle(eventRecord({ password: 'MARK-a' }))).rejects.toMatchObject({
      retryable: true,
    });
    aws.clearFaults(fault);
  }

  it('ends without a wait if nothing is in doubt', async () => {
    const { bench } = await openAwsBench('managed-aws', SHORT);
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    expect(await finish(bench)).toEqual({ isInDoubt: false, waits: [] });
  });

  it('leaves in doubt what the store refuses, and does not wait for it', async () => {
    const { bench, aws } = await openAwsBench('managed-aws', SHORT);
    await bench.handle(eventRecord({ password: 'MARK-a' }));
    await bench.change('UPDATE stored_secret SET suspect_until_ms = 1');
    aws.fault({ kind: 'deny', operation: 'DescribeSecret' });
    expect(await finish(bench)).toEqual({ isInDoubt: true, waits: [] });
    aws.clearFaults();
    await bench.endDoubt();
    expect(await finish(bench)).toEqual({ isInDoubt: false, waits: [] });
  });

  it('waits until a claim expires, and then until its requests can no longer land', async () => {
    const world = await openAwsBench('managed-aws', SHORT);
    const { bench } = world;
    await unanswered(world);
    const stop = new AbortController();
    const finished = finish(bench, stop.signal);
    const isLeft = async (): Promise<boolean> => (await bench.stored())[PASSWORD_ID] === 'retired';
    await waitFor(isLeft, { what: 'the end of the claim' });
    stop.abort();
    expect(await finished).toEqual({ isInDoubt: true, waits: [expect.closeTo(CLAIM_MS - 500, -3)] });
  });

  it('leaves alone what other processes begin meanwhile', async () => {
    const world = await openAwsBench('managed-aws', SHORT);
    const { bench } = world;
    await unanswered(world);
    // As somebody else's claim that is taken anew all the time.
    const claimed = `UPDATE connection SET claim_expires_at_ms = ${Date.now() + 60_000}`;
    await bench.change(claimed);
    expect(await finish(bench)).toEqual({ isInDoubt: false, waits: [] });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'writing' });
  });
});
