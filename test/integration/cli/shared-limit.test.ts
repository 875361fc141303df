import { expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { awsClients, createDatabase, describeWith, disposeLater, runCli } from '../../harness/index.js';
import { lines } from '../../components/cli/support.js';

const LIMIT = 20;
const EACH = 100;
const LONG_MS = 120_000;

describeWith(['postgres'], 'two processes on one database', () => {
  it(
    'write to their store no more than the limit, together',
    async () => {
      const aws = await startAwsStandin();
      disposeLater(() => aws.close());
      const { url } = await createDatabase('postgres');
      const env = {
        ...awsClients(aws.url).env,
        FERNET_KEY: generateKey(),
        DATABASE_URL: url,
        SECRET_MANAGER: 'managed-aws',
        SECRET_MANAGER_WRITES_PER_SECOND: String(LIMIT),
      };
      const all = lines({ count: 2 * EACH })
        .trim()
        .split('\n');
      const halves = [all.slice(0, EACH), all.slice(EACH)];
      // The first start marks the store and makes the tables.
      expect((await runCli(['pipe'], { env, input: '' })).code).toBe(0);
      aws.clearCalls();
      const results = await Promise.all(
        halves.map((half) => runCli(['pipe'], { env, input: `${half.join('\n')}\n`, timeoutMs: LONG_MS })),
      );
      expect(results.map(({ code }) => code)).toEqual([0, 0]);
      const times = aws.calls.filter(({ write }) => write).map(({ atMs }) => atMs);
      expect(times).toHaveLength(2 * EACH);
      const tookMs = Math.max(...times) - Math.min(...times);
      // A second's worth at once: with a limit for each they would need four seconds.
      expect(tookMs).toBeGreaterThan(((2 * EACH - LIMIT) / LIMIT) * 1_000 - 200);
    },
    LONG_MS,
  );
});
