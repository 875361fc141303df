import { beforeEach, describe, expect, it } from 'vitest';
import { disposeLater, HopelessError, waitFor } from '../../harness/index.js';
import { startAwsStandin, type AwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { killDuring, type Means } from '../../faults/kills/store-kill.js';

/** A process that can be ended, and says by which request it is known. */
class Sender {
  running = true;
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  kill(): void {
    this.running = false;
  }
}

/** Of a request that gets no answer. */
const HELD = { withinMs: 300 };

let standin: AwsStandin;
beforeEach(async () => {
  standin = await startAwsStandin();
  disposeLater(() => standin.close());
});

/** Resolves with the status; null: there was no answer within `withinMs`. */
async function create(name: string, client: string, { token = name, withinMs = 10_000 } = {}) {
  const answer = fetch(standin.url, {
    method: 'POST',
    headers: {
      'x-amz-target': 'secretsmanager.CreateSecret',
      authorization: `AWS4-HMAC-SHA256 Credential=${client}/20260101/eu-central-1/secretsmanager/aws4_request`,
    },
    body: JSON.stringify({
      Name: name,
      SecretString: `text of ${token}`,
      ClientRequestToken: tokenOf(token),
    }),
    signal: AbortSignal.timeout(withinMs),
  });
  return answer.then(
    ({ status }) => status,
    () => null,
  );
}

const tokenOf = (text: string): string => text.padEnd(36, '-');

/** Ends the process that has sent the request; returns its id. */
function killing(kind: Fault['kind'], processOf: Means['processOf']): Promise<number> {
  return killDuring(
    { standin },
    { reached: () => undefined },
    { index: 0, during: { kind, operation: 'CreateSecret', times: 1, delayMs: 10_000 } },
    {
      wait: (look, what) => waitFor(look, { what, timeoutMs: 5_000, intervalMs: 5 }),
      processOf,
    },
  );
}

describe('a process that is killed during a request', () => {
  it('carries out and does not answer, but waits for a request that the service does not refuse', async () => {
    expect(await create('twice', 'worker')).toBe(200);
    const worker = new Sender(7);
    const killed = killing('hang-after', () => worker);
    // Under a later claim, so with another token: such a secret exists.
    expect(await create('twice', 'worker', { token: 'later' })).toBe(400);
    expect(await create('new', 'worker', HELD)).toBeNull();
    expect(await killed).toBe(7);
    expect(standin.secrets().map(({ secretId }) => secretId)).toEqual(['twice', 'new']);
    expect(await create('next', 'worker')).toBe(200);
  });

  it.each(['hang', 'hang-after', 'delay'] as const)(
    '%s: the last request of a process that has died does not stand for the next one’s',
    async (kind) => {
      const [dead, living] = [new Sender(1), new Sender(2)];
      dead.kill();
      const killed = killing(kind, (client) => (client === 'dead' ? dead : living));
      expect(await create('last', 'dead', HELD)).toBeNull();
      let count = 0;
      const next = (): Promise<number | null> => create(`next-${(count += 1)}`, 'living', HELD);
      await waitFor(async () => (await next()) === null, { what: 'a request that is held' });
      expect(await killed).toBe(2);
      expect(living.running).toBe(false);
    },
  );

  it('says at once that the fault was removed', async () => {
    const killed = killing('hang', () => undefined);
    const failed = expect(killed).rejects.toThrow('was taken back before it hit anything');
    standin.clearFaults();
    await failed;
  });

  it('says which request came instead of the expected one', async () => {
    const means: Means = {
      wait: async (look) => {
        await create('a', 'worker');
        await create('a', 'worker', { token: 'b' });
        throw new HopelessError(`nobody is held: ${String(look()?.pid)}`);
      },
      processOf: () => undefined,
    };
    const stage = { index: 0, during: { kind: 'hang', operation: 'CreateSecret', skip: 9 } } as const;
    await expect(killDuring({ standin }, { reached: () => undefined }, stage, means)).rejects.toThrow(
      'nobody is held: undefined; CreateSecret since then: 1 ok, 1 ResourceExistsException',
    );
  });
});
