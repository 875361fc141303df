import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openWorker, type Worker } from '../../../src/worker/worker.js';
import { loadConfig } from '../../../src/config.js';
import { createDatabase, disposeLater } from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { CONNECTION, deletion, eventRecord, MASKED, PASSWORD_ID } from './events.js';
import { FakeOutlet, FakeTopics } from './fake-outlet.js';
import { codeOf } from './fixture.js';
import type { SourceRecord } from '../../../src/terms.js';

const SIGNAL = new AbortController().signal;
const MANAGERS = [
  ['managed-aws', ['CreateSecret', 'PutSecretValue']],
  ['managed-aws-ssm', ['PutParameter', 'PutParameter']],
] as const;

/** The worker as it is put together for work, on the stand-in for both AWS stores. */
describe.each(MANAGERS)('a worker on %s: calls to the store', (managerName, [create, change]) => {
  let standin: AwsStandin;
  let worker: Worker;
  let topics: FakeTopics;
  const handle = (record: SourceRecord) => worker.pipeline.handle(record, SIGNAL);
  const operations = (): string[] =>
    standin.calls.filter(({ write }) => write).map(({ operation }) => operation);

  beforeAll(async () => {
    standin = await startAwsStandin();
    disposeLater(() => standin.close());
  });

  beforeEach(async () => {
    standin.reset();
    const { url } = await createDatabase('sqlite');
    const config = loadConfig(
      {
        FERNET_KEY: 'mJ3wQx2mD0vJb0nqk3p0v9u3a1ZkXb7mV2c5t8y1R4E=',
        DATABASE_URL: url,
        SECRET_MANAGER: managerName,
        AWS_ENDPOINT_URL: standin.url,
        OM_SM_REGION: 'eu-west-1',
        OM_SM_ACCESS_KEY_ID: 'testing',
        OM_SM_ACCESS_KEY: 'testing',
        STORE_TIMEOUT_MS: '500',
        CLAIM_MS: '3500',
      },
      { need: ['keys'] },
    );
    topics = new FakeTopics();
    worker = await openWorker(config, {
      kafkaCluster: null,
      outlet: new FakeOutlet(topics),
      observer: { handled: () => undefined, failed: () => undefined },
    });
    disposeLater(() => worker.close());
  });

  it('one per new or changed field; none for unchanged, masked, referenced, cleared or deleted ones', async () => {
    await handle(eventRecord({ password: 'MARK-a', config: { authType: { password: 'MARK-b' } }, at: 1 }));
    expect(operations()).toEqual([create, create]);
    expect(standin.calls).toHaveLength(2);
    standin.clearCalls();
    await handle(eventRecord({ password: 'MARK-a', config: { authType: { password: MASKED } }, at: 2 }));
    await handle(
      eventRecord({
        password: `secret:${PASSWORD_ID}`,
        config: { authType: { password: 'secret:/team-a/x' } },
        at: 3,
      }),
    );
    expect(standin.calls).toEqual([]);
    await handle(eventRecord({ password: 'MARK-c', at: 4 }));
    expect(operations()).toEqual([change]);
    expect(standin.calls).toHaveLength(1);
    await handle(eventRecord({ password: null, at: 5 }));
    await handle(deletion(6));
    expect(standin.calls).toHaveLength(1);
  });

  it.each(['server-error', 'server-error-after', 'drop-after', 'hang-after'] as const)(
    '%s: applied in the end, once',
    async (kind) => {
      standin.fault({ kind, times: 1 });
      const event = eventRecord({ password: 'MARK-a' });
      expect(await codeOf(handle(event))).toBe('STORE_UNAVAILABLE');
      expect(await codeOf(handle(event))).toBe('CLAIM_LOST');
      await worker.database.run(({ manager }) =>
        manager.query('UPDATE connection SET claim_expires_at_ms = 1'),
      );
      expect(await handle(event)).toBe('applied');
      expect(standin.secrets()).toMatchObject([
        { secretId: PASSWORD_ID, value: 'MARK-a', tags: { 'connection-id': CONNECTION } },
      ]);
      expect(topics.secured).toHaveLength(1);
    },
  );

  const kept = () =>
    worker.database.run(({ manager, tables }) =>
      manager.find(tables.deadLetter, { order: { connectionId: 'ASC' } }),
    );
  const retryAll = async () => {
    await worker.database.run(({ manager }) =>
      manager.query('UPDATE dead_letter SET next_attempt_at_ms = 1'),
    );
    await worker.pipeline.retryKept(SIGNAL);
  };

  it('a full account: new secrets wait by themselves, changes go on; with room again they are written', async () => {
    await handle(eventRecord({ password: 'MARK-a', at: 1 }));
    standin.configure({ maxSecrets: 1, maxParameters: 1 });
    for (const id of ['c2', 'c3'])
      expect(await handle(eventRecord({ id, name: id, password: `MARK-${id}` }))).toBe('waiting');
    expect(await handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('applied');
    expect(standin.secrets()).toMatchObject([{ secretId: PASSWORD_ID, value: 'MARK-b' }]);
    await retryAll();
    expect((await kept()).map(({ connectionId, state, code }) => [connectionId, state, code])).toEqual([
      ['c2', 'waiting', 'STORE_QUOTA'],
      ['c3', 'waiting', 'STORE_QUOTA'],
    ]);
    // The pause has doubled, and ends when the time to wait does.
    for (const { nextAttemptAtMs, updatedAtMs, waitUntilMs } of await kept()) {
      expect(nextAttemptAtMs! - updatedAtMs).toBe(20_000);
      expect(waitUntilMs! - updatedAtMs).toBeGreaterThan(590_000);
    }
    standin.configure({ maxSecrets: 100, maxParameters: 100 });
    await retryAll();
    expect(await kept()).toEqual([]);
    expect(standin.secrets()).toHaveLength(3);
  });

  it('one secret that takes no further version: its event waits, others go on', async () => {
    await handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const name =
      managerName === 'managed-aws' ? 'LimitExceededException' : 'ParameterMaxVersionLimitExceeded';
    standin.fault({ kind: 'error', name, operation: change, secretId: PASSWORD_ID });
    expect(await handle(eventRecord({ password: 'MARK-b', at: 2 }))).toBe('waiting');
    expect(await handle(eventRecord({ id: 'c2', name: 'c2', password: 'MARK-c' }))).toBe('applied');
    await worker.database.run(({ manager }) => manager.query('UPDATE dead_letter SET wait_until_ms = 1'));
    await retryAll();
    expect(topics.deadLetters.map(({ headers }) => headers['code'])).toEqual(['STORE_QUOTA']);
    const [letter] = await kept();
    expect(letter).toMatchObject({ state: 'dead', code: 'STORE_QUOTA', nextAttemptAtMs: null });
    expect(letter?.detail).toContain(name);
  });

  it('a limit is refused before any call', async () => {
    await handle(eventRecord({ password: 'x'.repeat(65_537), config: { authType: { password: 'MARK-b' } } }));
    expect(standin.calls).toEqual([]);
    expect(topics.deadLetters.map(({ headers }) => headers['code'])).toEqual(['VALUE_TOO_LONG']);
  });

  it('a secret without our tag is not overwritten', async () => {
    standin.seed(managerName === 'managed-aws' ? 'secretsmanager' : 'ssm', {
      secretId: PASSWORD_ID,
      value: 'theirs',
    });
    expect(await handle(eventRecord({ password: 'MARK-a' }))).toBe('refused');
    expect(standin.secrets()).toMatchObject([{ value: 'theirs' }]);
    expect(topics.deadLetters.map(({ headers }) => headers['code'])).toEqual(['SECRET_NOT_OWNED']);
  });
});
