import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ManagerName } from '../../../src/terms.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import { ROOT_TOKEN, VaultStandin } from '../../harness/vault-standin/index.js';
import { AWS_CREDENTIALS, AWS_REGION, disposeLater, tmpDir } from '../../harness/index.js';
import { CONNECTION, eventRecord, MASKED, PASSWORD_ID } from '../pipeline/events.js';
import { configOf } from '../pipeline/sent-event.js';
import { Bench } from './fixture.js';

interface Provider {
  readonly name: ManagerName;
  /** Whether values go to a store; else they stay in our database. */
  readonly keeps: 'store' | 'database';
  readonly maxBytes: number;
  readonly refusedText?: string;
}

const PROVIDERS: readonly Provider[] = [
  { name: 'db', keeps: 'database', maxBytes: 524_288 },
  { name: 'in-memory', keeps: 'store', maxBytes: 65_536 },
  { name: 'local', keeps: 'store', maxBytes: 65_536 },
  { name: 'managed-aws', keeps: 'store', maxBytes: 65_536 },
  { name: 'aws', keeps: 'database', maxBytes: 524_288 },
  { name: 'managed-aws-ssm', keeps: 'store', maxBytes: 4_096, refusedText: '{{' },
  { name: 'aws-ssm', keeps: 'database', maxBytes: 524_288 },
  { name: 'managed-vault', keeps: 'store', maxBytes: 262_144 },
  { name: 'vault', keeps: 'database', maxBytes: 524_288 },
];

async function openBench({ name }: Provider): Promise<Bench> {
  const aws = await startAwsStandin();
  const vault = await VaultStandin.start();
  disposeLater(() => aws.close());
  disposeLater(() => vault.close());
  return Bench.open({
    SECRET_MANAGER: name,
    LOCAL_VAULT_FILE: join(tmpDir('vault'), 'vault.sqlite'),
    VAULT_ADDR: vault.url,
    VAULT_TOKEN: ROOT_TOKEN,
    AWS_ENDPOINT_URL: aws.url,
    OM_SM_REGION: AWS_REGION,
    OM_SM_ACCESS_KEY_ID: AWS_CREDENTIALS.accessKeyId,
    OM_SM_ACCESS_KEY: AWS_CREDENTIALS.secretAccessKey,
  });
}

describe.each(PROVIDERS)('every rule of a secret field, with $name', (provider) => {
  const { keeps } = provider;
  const sent = (bench: Bench): string => String(configOf(bench.sent(CONNECTION))['password']);

  /** What a secured event has in the field's place resolves to the value, and is not the value. */
  async function expectEmitted(bench: Bench, value: string): Promise<void> {
    if (keeps === 'store') {
      expect(sent(bench)).toBe(`secret:${PASSWORD_ID}`);
      expect(await bench.valueOf(PASSWORD_ID)).toBe(value);
      return;
    }
    const token = /^fernet:(.+)$/.exec(sent(bench))?.[1] ?? '';
    expect(bench.worker.context.rings.ingestion.open(token)).toBe(value);
  }

  it('text, unchanged, changed, masked, as it went out, cleared, set again', async () => {
    const bench = await openBench(provider);
    const step = async (password: string | null, at: number): Promise<number> => {
      const before = bench.puts.length;
      await bench.handle(eventRecord({ password, at }));
      expect(bench.last).toMatchObject({ outcome: 'applied' });
      return bench.puts.length - before;
    };
    const write = keeps === 'store' ? 1 : 0;
    expect(await step('MARK-a', 1)).toBe(write);
    await expectEmitted(bench, 'MARK-a');
    expect(bench.sent(CONNECTION)?.secretFields).toMatchObject([{ owned: true }]);
    expect(await step('MARK-a', 2)).toBe(0);
    expect(await step('MARK-b', 3)).toBe(write);
    await expectEmitted(bench, 'MARK-b');
    expect(await step(MASKED, 4)).toBe(0);
    if (keeps === 'store') expect(await step(sent(bench), 5)).toBe(0);
    else {
      // Anybody who reads the secured topic has this token: it opens nothing.
      await bench.handle(eventRecord({ password: sent(bench), at: 5 }));
      expect(bench.last).toMatchObject({ outcome: 'refused', code: 'TOKEN_NOT_OPENED' });
    }
    await expectEmitted(bench, 'MARK-b');
    expect(await step(null, 6)).toBe(0);
    expect(configOf(bench.sent(CONNECTION))['password']).toBeNull();
    expect(await step('MARK-b', 7)).toBe(write);
    await expectEmitted(bench, 'MARK-b');
    if (keeps === 'database') expect([bench.calls, await bench.stored()]).toEqual([0, {}]);
    await bench.expectNowhereElse('MARK-');
  });

  it('a reference that a user typed goes on as it is, with either prefix', async () => {
    const bench = await openBench(provider);
    for (const [at, prefix] of ['secret', 'secrets'].entries()) {
      await bench.handle(eventRecord({ password: `${prefix}:/team-a/x`, at: at + 1 }));
      expect(sent(bench)).toBe('secret:/team-a/x');
      expect(bench.sent(CONNECTION)?.secretFields).toMatchObject([{ owned: false }]);
    }
    expect(bench.calls).toBe(0);
  });

  it('limits: the longest is taken, one byte more is refused naming field, limit and store', async () => {
    const bench = await openBench(provider);
    bench.outlet.maxBytes = 2_000_000; // where the value stays with us, its token goes out twice
    const longest = 'x'.repeat(provider.maxBytes);
    await bench.handle(eventRecord({ password: longest, at: 1 }));
    await expectEmitted(bench, longest);
    const { calls } = bench;
    await bench.handle(eventRecord({ password: `${longest}x`, at: 2 }));
    expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_TOO_LONG' });
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    for (const word of [
      '/connection/config/password',
      String(provider.maxBytes),
      bench.worker.manager.provider,
    ])
      expect(row?.['detail']).toContain(word);
    expect(bench.calls - calls).toBe(0);
  });

  if (provider.refusedText !== undefined)
    it('a text that the store refuses', async () => {
      const bench = await openBench(provider);
      await bench.handle(eventRecord({ password: `MARK-${provider.refusedText ?? ''}x` }));
      expect(bench.last).toMatchObject({ outcome: 'refused', code: 'VALUE_REFUSED_BY_STORE' });
      expect(bench.calls).toBe(0);
      await bench.expectNowhereElse('MARK-');
    });

  it('the word null, and what is no string: nothing of the event is applied', async () => {
    const bench = await openBench(provider);
    await bench.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    const before = { calls: bench.calls, rows: await bench.query('SELECT * FROM secret_reference') };
    for (const [at, password] of ['null', 7, { a: 'b' }].entries()) {
      await bench.handle(eventRecord({ password, config: { sslConfig: { sslKey: 'MARK-k' } }, at: at + 2 }));
      expect(bench.last?.outcome).toBe('refused');
    }
    expect({ calls: bench.calls, rows: await bench.query('SELECT * FROM secret_reference') }).toEqual(before);
    expect(bench.topics.secured).toHaveLength(1);
  });
});
