import { beforeAll, expect, it } from 'vitest';
import { startWorker } from '../../e2e/fixture.js';
import {
  awsClients,
  committedOffsets,
  createDatabase,
  describeWith,
  describeWithOwn,
  disposeLater,
  freshName,
  startMariadb,
  untilReady,
  urlOf,
  waitFor,
  type PartHandle,
} from '../../harness/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { PATIENCE_MS, Rig, secretIdOf } from '../outages/rig.js';

const GRACE_MS = 500;
/** What docs/operations.md gives a stop beside its grace before it ends with 1. */
const DEADLINE_MS = 10_000;
/** A request that nobody aborts takes longer than the deadline. */
const STORE_TIMES = { CLAIM_MS: '26000', STORE_TIMEOUT_MS: '12000' } as const;
/** More than the rest of the way takes on a busy machine. */
const SLACK_MS = 10_000;

describeWith(['kafka'], 'told to stop, and something does not answer', ({ kafka }) => {
  describeWith(['postgres'], 'the store', () => {
    it('ends after its grace with 0; the event is not lost, another worker finishes it', async () => {
      const standin = await startAwsStandin();
      disposeLater(() => standin.close());
      const { url } = await createDatabase('postgres');
      const rig = await Rig.open({
        ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws' },
        env: {
          ...awsClients(standin.url).env,
          ...STORE_TIMES,
          SHUTDOWN_GRACE_MS: String(GRACE_MS),
        },
      });
      const stopped = await rig.startReady();
      const name = freshName('hung');
      // Once, and its effect stays: whoever comes next finds a secret that the database does not know yet.
      standin.fault({ kind: 'hang-after', secretId: secretIdOf(name), times: 1 });
      const password = await rig.publish(name);
      await waitFor(() => standin.calls.some(({ ids }) => ids.includes(secretIdOf(name))), {
        what: 'the request at the store',
        timeoutMs: PATIENCE_MS,
      });
      const other = startWorker(rig.world);
      const begin = performance.now();
      expect(await stopped.stop(GRACE_MS + DEADLINE_MS + SLACK_MS)).toEqual({ code: 0, signal: null });
      expect(performance.now() - begin).toBeLessThan(GRACE_MS + DEADLINE_MS);
      expect(stopped.stdout()).not.toContain('"outcome":"applied"');
      await untilReady(await urlOf(other), PATIENCE_MS);
      await rig.applied(name, 2 * PATIENCE_MS);
      await other.waitForLine((line) => line.includes('"applied"') && line.includes(name));
      expect(standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value).toBe(password);
      await rig.expectInvariants(standin.url, [stopped, other], ['names in doubt']);
      await rig.expectNothingLost();
      expect((await other.stop(PATIENCE_MS)).code).toBe(0);
    });
  });

  describeWithOwn(['mariadb'], 'the database', () => {
    let server: PartHandle;
    beforeAll(async () => {
      server = await startMariadb();
    });

    it('ends at its deadline with 1 and says so; the event is not lost, another worker applies it', async () => {
      const standin = await startAwsStandin();
      disposeLater(() => standin.close());
      const { url } = await createDatabase('mariadb', server.address);
      const rig = await Rig.open({
        ...{ brokers: kafka, databaseUrl: url, manager: 'managed-aws' },
        env: { ...awsClients(standin.url).env, SHUTDOWN_GRACE_MS: String(GRACE_MS) },
      });
      const stopped = await rig.startReady();
      const first = freshName('before');
      await rig.publish(first);
      await rig.applied(first);
      // Claimed, and at the store: what comes next asks the database.
      const name = freshName('hung');
      standin.fault({ kind: 'slow-answer', delayMs: 2 * GRACE_MS, secretId: secretIdOf(name) });
      await rig.publish(name);
      await waitFor(() => standin.calls.some(({ ids }) => ids.includes(secretIdOf(name))), {
        what: 'the request at the store',
        timeoutMs: PATIENCE_MS,
      });
      // One process: its connections stay, and say nothing.
      server.suspend();
      disposeLater(() => server.resume());
      const begin = performance.now();
      expect(await stopped.stop(GRACE_MS + DEADLINE_MS + SLACK_MS)).toEqual({ code: 1, signal: null });
      const tookMs = performance.now() - begin;
      expect(tookMs).toBeGreaterThan(GRACE_MS + DEADLINE_MS - 100);
      expect(tookMs).toBeLessThan(GRACE_MS + DEADLINE_MS + SLACK_MS);
      expect(stopped.stderr()).toContain('not stopped in time');
      const group = rig.world.env['KAFKA_GROUP_ID']!;
      const offsets = await committedOffsets(group, rig.world.topics.created, { brokers: kafka });
      expect(offsets.get(0)).toBeLessThanOrEqual(1);
      standin.clearFaults();
      server.resume();
      const other = await rig.startReady();
      await rig.applied(name);
      await rig.expectNothingLost();
      expect((await other.stop(PATIENCE_MS)).code).toBe(0);
    });
  });
});
