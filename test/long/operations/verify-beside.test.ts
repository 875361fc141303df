import { expect, it } from 'vitest';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { AWS_REGION, describeWith, runCli, startCli, waitFor } from '../../harness/index.js';
import { publishEvents, replayWorld, rowsOf } from '../../integration/cli/replay-support.js';
import { MARKER } from '../../components/cli/support.js';

const CONNECTIONS = 24;
const CHANGES = 12;
const EVENTS = Array.from({ length: CONNECTIONS * CHANGES }, (_, index) => ({
  number: index % CONNECTIONS,
  at: Math.floor(index / CONNECTIONS),
}));

interface Answer {
  readonly findings: readonly { readonly kind: string; readonly detail: string }[];
  readonly skipped: { readonly busy: number };
}

describeWith(['kafka', 'postgres'], 'verify beside a worker that works', ({ kafka }) => {
  it.each([[[]], [['--repair']]])(
    'finds nothing, and repairs nothing: %j',
    async (flags) => {
      const aws = await startAwsStandin();
      aws.configure({ latencyMs: 30 });
      const world = await replayWorld(kafka, 'postgres', {
        SECRET_MANAGER: 'managed-aws',
        OM_SM_REGION: AWS_REGION,
        OM_SM_ACCESS_KEY_ID: 'test',
        OM_SM_ACCESS_KEY: 'test',
        AWS_ENDPOINT_URL: aws.url,
        SECRET_MANAGER_WRITES_PER_SECOND: '12',
      });
      await publishEvents(world.topics.created, EVENTS);
      const worker = startCli(['start'], world.env);
      const applied = async (): Promise<number> =>
        Number((await rowsOf(world, `SELECT COUNT(*) AS n FROM inbox WHERE outcome = 'applied'`))[0]?.['n']);
      await waitFor(async () => (await applied()) >= CONNECTIONS / 2, {
        what: 'the first half of the connections',
        timeoutMs: 120_000,
      });
      const answers: Answer[] = [];
      while ((await applied()) < EVENTS.length) {
        const { stdout, stderr } = await runCli(
          ['verify', ...flags, '--json', '--reads-per-second', '1000'],
          { env: world.env, timeoutMs: 120_000 },
        );
        expect(stdout + stderr).not.toContain(MARKER);
        answers.push(JSON.parse(stdout) as Answer);
      }
      expect(answers.length).toBeGreaterThan(1);
      expect(answers.flatMap(({ findings }) => findings)).toEqual([]);
      expect((await worker.stop()).code).toBe(0);
      await aws.close();
    },
    300_000,
  );
});
