import { expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import {
  createDatabase,
  describeWith,
  produce,
  readAll,
  runCli,
  sealedFor,
  waitFor,
  type CliResult,
} from '../../harness/index.js';
import { createWorld, securedEvents, serviceEvent, startWorker } from '../../e2e/fixture.js';

const AT = 1_790_000_000_000;
const MASK = '*********';

interface Kept {
  readonly id: string;
  readonly code: string;
}

describeWith(['kafka', 'postgres'], 'dead-letters beside a running worker', ({ kafka: brokers }) => {
  it('retries in order once the cause is gone, discards with an audit, and names what it does not know', async () => {
    const database = await createDatabase('postgres');
    const world = await createWorld({ brokers, databaseUrl: database.url, manager: 'db', partitions: 1 });
    const publisherKey = generateKey();
    const sealed = sealedFor(publisherKey, 'a', 'canaryzq');
    const cli = (...args: string[]): Promise<CliResult> =>
      runCli(['dead-letters', ...args], { env: world.env });
    const list = async (...args: string[]): Promise<Kept[]> =>
      (JSON.parse((await cli('list', '--json', ...args)).stdout) as { items: Kept[] }).items;
    const send = (id: string, password: string, at: number, hostPort: string): Promise<unknown> => {
      const event = serviceEvent({ id, name: id, password, timestampMs: AT + at, hostPort });
      return produce(world.topics.created, [{ key: id, value: JSON.stringify(event) }], { brokers });
    };
    const first = startWorker(world);
    await send('a', sealed, 1, 'one');
    await send('a', MASK, 2, 'two');
    await send('a', MASK, 3, 'three');
    await send('b', 'null', 1, 'x');
    await produce(world.topics.created, [{ key: null, value: '{' }], { brokers });
    await waitFor(async () => (await list()).length === 5, {
      what: 'five kept events',
      timeoutMs: 60_000,
      intervalMs: 500,
    });
    expect((await list('--connection', 'a')).map(({ code }) => code)).toEqual([
      'TOKEN_NOT_OPENED',
      'EVENT_BLOCKED',
      'EVENT_BLOCKED',
    ]);
    expect(await list('--state', 'waiting')).toEqual([]);
    expect((await list('--code', 'EVENT_NOT_DECODABLE')).length).toBe(1);
    for (const command of ['show', 'retry', 'discard']) {
      const unknown = await cli(command, 'ffffffffffff');
      expect(unknown.code, command).not.toBe(0);
      expect(unknown.stdout + unknown.stderr, command).toContain('no');
    }

    // The cause is still there: tried at once by the running worker, kept as it was, told once.
    await cli('retry', '--connection', 'a');
    await waitFor(
      async () =>
        (await list('--connection', 'a')).length === 3 &&
        /"attempts": [2-9]/.test((await cli('list', '--json')).stdout),
      { what: 'another attempt', timeoutMs: 30_000, intervalMs: 500 },
    );
    expect((await readAll(world.topics.deadLetter, { brokers })).length).toBe(5);

    await first.stop();
    const second = startWorker(world, { PUBLISHER_FERNET_KEY: publisherKey });
    const retried = await cli('retry', '--all', '--json');
    expect((JSON.parse(retried.stdout) as { total: number }).total).toBe(5);
    const secured = await securedEvents(world, 3, brokers, 60_000);
    expect(secured.map(({ entity }) => /one|two|three/.exec(JSON.stringify(entity))?.[0])).toEqual([
      'one',
      'two',
      'three',
    ]);
    await waitFor(async () => (await list()).length === 2, {
      what: 'two left',
      timeoutMs: 30_000,
      intervalMs: 500,
    });

    const discard = ['discard', '--code', 'VALUE_IS_THE_WORD_NULL', '--reason', 'published again'];
    const discarded = await cli(...discard, '--yes');
    expect(discarded.code).toBe(0);
    expect((await list()).map(({ code }) => code)).toEqual(['EVENT_NOT_DECODABLE']);
    const audit = await runCli(['audit', 'list', '--action', 'discard', '--json'], { env: world.env });
    expect(JSON.parse(audit.stdout)).toMatchObject({
      items: [{ connectionId: 'b', detail: 'VALUE_IS_THE_WORD_NULL: published again' }],
    });
    await second.stop();
    const shown =
      [first, second].map((worker) => worker.stdout() + worker.stderr()).join('') + retried.stdout;
    expect(shown).not.toContain('canaryzq');
  }, 180_000);
});
