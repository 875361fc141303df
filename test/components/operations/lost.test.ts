import { describe, expect, it } from 'vitest';
import { discard, findKept, scheduleRetry } from '../../../src/database/dead-letters.js';
import { CONNECTION, deletion, eventRecord, MASKED, PASSWORD_ID, PASSWORD_PATH } from '../pipeline/events.js';
import type { Bench } from '../secrets/fixture.js';
import { inStore, openAwsBench, type AwsManager } from './aws-bench.js';

const MANAGERS = ['managed-aws', 'managed-aws-ssm'] as const;
const LOST_RETRY_MS = 3_600_000;

interface World {
  readonly bench: Bench;
  /** The recorded version is in the store after all. */
  readonly refind: () => Promise<void>;
}

/** A live secret in doubt whose recorded version somebody has removed: the janitor has seen it once. */
async function lossOf(manager: AwsManager): Promise<World> {
  const { bench, aws } = await openAwsBench(manager);
  await bench.handle(eventRecord({ password: 'MARK-0', at: 0 }));
  await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }, { partition: 2, offset: 40 }));
  await bench.handle(eventRecord({ password: MASKED, at: 2, config: { hostPort: 'h' } }));
  const { tags } = inStore(aws, PASSWORD_ID) ?? {};
  aws.reset();
  aws.seed(manager === 'managed-aws' ? 'secretsmanager' : 'ssm', {
    secretId: PASSWORD_ID,
    value: 'another',
    ...(tags === undefined ? {} : { tags }),
  });
  await bench.change('UPDATE stored_secret SET suspect_until_ms = 1');
  expect(await bench.tidy()).toMatchObject({ lost: 1 });
  const refind = (): Promise<void> =>
    bench.change(`UPDATE stored_secret SET version = '${inStore(aws, PASSWORD_ID)?.version ?? ''}'`);
  return { bench, refind };
}

const losses = (bench: Bench) => findKept(bench.worker.database, { code: 'SECRET_VERSION_GONE' });

describe.each(MANAGERS)('a recorded version that %s has lost', (manager) => {
  it('becomes one dead letter, in table and topic, that names connection, field and source, and is audited once', async () => {
    const { bench } = await lossOf(manager);
    expect(await losses(bench)).toMatchObject([
      {
        state: 'dead',
        connectionId: CONNECTION,
        eventId: null,
        topic: 'connection.updated',
        partition: 2,
        position: 40,
        sets: [PASSWORD_PATH],
        attempts: 1,
      },
    ]);
    const [kept] = await losses(bench);
    expect(kept?.detail).toContain(PASSWORD_PATH);
    expect(kept?.detail).toContain(PASSWORD_ID);
    expect(bench.topics.deadLetters).toMatchObject([
      {
        key: CONNECTION,
        value: null,
        headers: {
          code: 'SECRET_VERSION_GONE',
          payload: 'none',
          'connection-id': CONNECTION,
          'source-topic': 'connection.updated',
          'source-partition': '2',
          'source-offset': '40',
        },
      },
    ]);
    await bench.change('UPDATE stored_secret SET suspect_until_ms = 1');
    expect(await bench.tidy()).toMatchObject({ lost: 1 }); // the alarm goes on
    expect(await losses(bench)).toMatchObject([{ attempts: 2 }]);
    expect(bench.topics.deadLetters).toHaveLength(1);
    expect((await bench.actions()).filter((action) => action === 'lost')).toHaveLength(1);
    await bench.expectNowhereElse('MARK-');
  });

  it('blocks nothing, and stays while events only mask the field', async () => {
    const { bench } = await lossOf(manager);
    for (const at of [3, 4])
      await expect(bench.handle(eventRecord({ password: MASKED, at }))).resolves.toBe('applied');
    expect(await losses(bench)).toHaveLength(1);
    // The scan for kept events has nothing to do with it, due or not.
    await bench.change('UPDATE dead_letter SET next_attempt_at_ms = 1');
    expect(await bench.worker.pipeline.retryKept(new AbortController().signal)).toBe(0);
  });

  it.each([
    ['the very same text', eventRecord({ password: 'MARK-a', at: 3 })],
    ['another text', eventRecord({ password: 'MARK-b', at: 3 })],
    ['a reference of the user’s own', eventRecord({ password: 'secret:/team/x', at: 3 })],
    ['nothing any more', eventRecord({ at: 3 })],
    ['its deletion', deletion(3)],
  ])('is over with %s', async (_, record) => {
    const { bench } = await lossOf(manager);
    await expect(bench.handle(record)).resolves.toBe('applied');
    expect(await losses(bench)).toEqual([]);
  });

  it('a retry looks at the store again: the version is still gone, then it is back', async () => {
    const { bench, refind } = await lossOf(manager);
    expect(await bench.tidy()).toMatchObject({ lost: 0 });
    await scheduleRetry(bench.worker.database, { state: 'dead' });
    expect(await bench.tidy()).toMatchObject({ lost: 1 });
    expect(await losses(bench)).toMatchObject([{ attempts: 2 }]);
    await refind();
    await scheduleRetry(bench.worker.database, { state: 'dead' });
    expect(await bench.tidy()).toMatchObject({ lost: 0 });
    expect(await losses(bench)).toEqual([]);
    expect(await bench.query('SELECT suspect_until_ms FROM stored_secret')).toEqual([
      { suspect_until_ms: null },
    ]);
  });

  it('a retry does not shorten the time in which late requests may land', async () => {
    const { bench } = await lossOf(manager);
    const inDoubtUntilMs = Date.now() + 2 * LOST_RETRY_MS;
    await bench.change(`UPDATE stored_secret SET suspect_until_ms = ${inDoubtUntilMs}`);
    await scheduleRetry(bench.worker.database, { state: 'dead' });
    expect(await bench.query('SELECT suspect_until_ms FROM stored_secret')).toEqual([
      { suspect_until_ms: inDoubtUntilMs },
    ]);
  });

  it('discarding it is audited, and the next look reports it again, because a field still refers to it', async () => {
    const { bench } = await lossOf(manager);
    await discard(bench.worker.database, { state: 'dead' }, { actor: 'somebody', reason: 'known' });
    expect(await losses(bench)).toEqual([]);
    expect((await bench.audit()).at(-1)).toMatchObject({
      action: 'discard',
      connection_id: CONNECTION,
      detail: 'SECRET_VERSION_GONE: known',
    });
    await bench.change('UPDATE stored_secret SET suspect_until_ms = 1');
    await bench.tidy();
    expect(await losses(bench)).toHaveLength(1);
    expect(bench.topics.deadLetters).toHaveLength(2);
  });
});
