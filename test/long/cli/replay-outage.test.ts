import { expect, it } from 'vitest';
import { describeWithOwn, endOffsets, startCli, startKafka, waitFor } from '../../harness/index.js';
import {
  loseKeyOfSent,
  publishEvents,
  replayWorld,
  securedOf,
} from '../../integration/cli/replay-support.js';

const TOTAL = 1_000;

describeWithOwn(['kafka'], 'replay while the broker goes away', () => {
  it('waits for it and loses nothing, of events and of states', async () => {
    const kafka = await startKafka();
    const brokers = kafka.address;
    const world = await replayWorld(brokers, 'sqlite', { CLAIM_MS: '5000', STORE_TIMEOUT_MS: '1000' });
    const events = Array.from({ length: TOTAL }, (_, number) => ({ number, at: 0 }));
    await publishEvents(world.topics.created, events, { brokers });
    const end = async (): Promise<number> =>
      (await endOffsets(world.topics.secured, { brokers })).get(0) ?? 0;

    const secured = ['replay', '--secured', '--json'];
    for (const [round, args, ended] of [
      ['events', ['replay', '--concurrency', '2', '--json'], { code: 0, state: 'done' }],
      ['states', secured, { code: 0, state: 'done' }],
      ['states beside records that no key opens', secured, { code: 1, state: 'failed' }],
    ] as const) {
      if (ended.code === 1)
        loseKeyOfSent(
          world,
          events.map(({ number }) => number),
        );
      const before = await end();
      const running = startCli(args, world.env);
      await waitFor(async () => (await end()) > before + 50, {
        what: `some ${round}`,
        timeoutMs: 60_000,
        intervalMs: 10,
      });
      await kafka.kill();
      expect(running.running, round).toBe(true);
      await kafka.start();
      expect(await running.waitForExit(120_000), running.stderr()).toEqual({
        code: ended.code,
        signal: null,
      });
      expect(JSON.parse(running.stdout())).toMatchObject({ state: ended.state });
    }
    const revisions = new Map<string, number[]>();
    for (const { connectionId, revision } of await securedOf(world))
      revisions.set(connectionId, [...(revisions.get(connectionId) ?? []), revision]);
    expect(revisions.size).toBe(TOTAL);
    for (const seen of revisions.values()) expect([...new Set(seen)].sort()).toEqual([1, 2, 3]);
  }, 300_000);
});
