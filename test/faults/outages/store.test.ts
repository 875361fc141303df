import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import {
  AWS_REGION,
  createDatabase,
  describeWith,
  disposeLater,
  freshName,
  metricOf,
  tmpDir,
  untilDown,
  untilReady,
  waitFor,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin, type Fault } from '../../harness/aws-standin/index.js';
import { Calm, PATIENCE_MS, Rig, secretIdOf, withHook } from './rig.js';

/** What happens to requests for one secret, each on a partition of its own. */
const FAULTS: readonly (readonly [string, Omit<Fault, 'secretId'>])[] = [
  ['throttles', { kind: 'error', name: 'ThrottlingException' }],
  ['answers 500', { kind: 'server-error' }],
  ['does it and answers 500', { kind: 'server-error-after' }],
  ['hangs', { kind: 'hang' }],
  ['does it and answers too late', { kind: 'slow-answer', delayMs: 3_000 }],
  ['cuts the connection', { kind: 'drop' }],
];
/** Requests for one secret that are awaited before the store is well again. */
const ATTEMPTS = 3;

async function openStandin(): Promise<AwsStandin> {
  const standin = await startAwsStandin();
  disposeLater(() => standin.close());
  return standin;
}

function storeEnv(endpoint: string, more: Readonly<Record<string, string>>): Record<string, string> {
  return { AWS_ENDPOINT_URL: endpoint, OM_SM_REGION: AWS_REGION, ...more };
}

const KEYS = { OM_SM_ACCESS_KEY_ID: 'testing', OM_SM_ACCESS_KEY: 'testing' };

describeWith(['kafka'], 'the store fails', ({ kafka }) => {
  // A store works for one installation.
  let standin: AwsStandin;
  beforeEach(async () => {
    standin = await openStandin();
  });

  async function openRig(env: Readonly<Record<string, string>>, partitions: number): Promise<Rig> {
    const { url } = await createDatabase('sqlite');
    return Rig.open({ brokers: kafka, databaseUrl: url, manager: 'managed-aws', partitions, env });
  }
  const valueOf = (name: string): string | null | undefined =>
    standin.secrets().find(({ secretId }) => secretId === secretIdOf(name))?.value;
  const requestsFor = (name: string): number =>
    standin.calls.filter(({ ids }) => ids.includes(secretIdOf(name))).length;

  it(`for single secrets (${FAULTS.map(([what]) => what).join('; ')}): their partitions are held, another goes on`, async () => {
    const rig = await openRig(storeEnv(standin.url, KEYS), FAULTS.length + 1);
    await rig.startReady();
    const calm = await Calm.since(rig);
    const names = FAULTS.map(() => freshName('away'));
    const passwords: (string | null)[] = [];
    for (const [at, [, fault]] of FAULTS.entries()) {
      standin.fault({ ...fault, secretId: secretIdOf(names[at]!) });
      passwords.push(await rig.publish(names[at]!, { partition: at }));
    }
    await untilDown(rig.url, 'consumer', 'STORE_UNAVAILABLE');
    await waitFor(
      async () => (await metricOf(rig.url, 'connection_secrets_paused_partitions')) === FAULTS.length,
      { what: 'all partitions held', timeoutMs: PATIENCE_MS },
    );
    await rig.expectOthersGoOn(FAULTS.length);
    await waitFor(() => names.every((name) => requestsFor(name) >= ATTEMPTS), {
      what: `${ATTEMPTS} requests for each`,
      timeoutMs: PATIENCE_MS,
    });
    const seconds = calm.elapsedMs / 1_000;
    for (const [at, name] of names.entries())
      expect(requestsFor(name), FAULTS[at]![0]).toBeLessThanOrEqual(6 + 2 * seconds);
    // One line for each partition, one for each kind of failure, one for readiness.
    await calm.expectCalm(FAULTS.length + 3);
    expect(
      calm.lines().filter((line) => line.includes('CLAIM_LOST') && line.includes('"readiness"')),
    ).toEqual([]);

    standin.clearFaults();
    for (const [at, name] of names.entries()) {
      await rig.applied(name);
      expect(valueOf(name), FAULTS[at]![0]).toBe(passwords[at]);
    }
    await untilReady(rig.url);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });

  it('with credentials that expired: held and not ready; renewed ones are seen without a restart', async () => {
    const file = join(tmpDir('aws'), 'credentials');
    const write = (key: string): void =>
      writeFileSync(
        file,
        `[default]\naws_access_key_id = ${key}\naws_secret_access_key = s\naws_session_token = t\n`,
      );
    write('AKIAOLD');
    const credentials = {
      AWS_SHARED_CREDENTIALS_FILE: file,
      AWS_CONFIG_FILE: join(tmpDir('aws'), 'none'),
      AWS_EC2_METADATA_DISABLED: 'true',
    };
    const rig = await openRig(storeEnv(standin.url, credentials), 2);
    await rig.startReady();
    await rig.publish('granted', { partition: 0 });
    await rig.applied('granted');

    const fault = standin.fault({ kind: 'error', name: 'ExpiredTokenException', accessKeyId: 'AKIAOLD' });
    const calm = await Calm.since(rig);
    const name = freshName('expired');
    const password = await rig.publish(name, { partition: 0 });
    await untilDown(rig.url, 'consumer', 'STORE_ACCESS');
    // What needs no request goes on.
    await rig.publish('masked', { partition: 1, password: null });
    await rig.applied('masked');
    await waitFor(() => requestsFor(name) >= ATTEMPTS, { what: 'more attempts', timeoutMs: PATIENCE_MS });
    await calm.expectCalm(5);
    expect(await rig.query('SELECT code FROM dead_letter')).toEqual([]);

    write('AKIANEW');
    await rig.applied(name);
    await untilReady(rig.url);
    expect(valueOf(name)).toBe(password);
    standin.clearFaults(fault);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });

  it('because its name does not resolve, at the start or later: said so, and over as soon as it does', async () => {
    const down = join(tmpDir('dns'), 'down');
    writeFileSync(down, '');
    const endpoint = `http://secrets.test:${standin.port}`;
    const rig = await openRig(storeEnv(endpoint, KEYS), 2);
    await rig.start(withHook('dns.mjs', { DNS_DOWN_FILE: down }));
    await untilDown(rig.url, 'store', 'STORE_UNAVAILABLE');
    await rig.worker.waitForLine('failed with ENOTFOUND');
    const waiting = await Calm.since(rig);
    const early = await rig.publish('early', { partition: 0 });
    await waiting.expectCalm(6);
    rmSync(down);
    await rig.applied('early');
    await untilReady(rig.url);
    expect(valueOf('early')).toBe(early);

    writeFileSync(down, '');
    // Connections that are open need no name: they are cut.
    const cut = standin.fault({ kind: 'drop' });
    const calm = await Calm.since(rig);
    const password = await rig.publish('nowhere', { partition: 0 });
    await untilDown(rig.url, 'consumer', 'STORE_UNAVAILABLE');
    await waitFor(async () => (await rig.retries()) >= ATTEMPTS, {
      what: 'more attempts',
      timeoutMs: PATIENCE_MS,
    });
    await rig.publish('masked', { partition: 1, password: null });
    await rig.applied('masked');
    await calm.expectCalm(6);
    rmSync(down);
    standin.clearFaults(cut);
    await rig.applied('nowhere');
    await untilReady(rig.url);
    expect(valueOf('nowhere')).toBe(password);
    await rig.expectNothingLost();
    expect((await rig.worker.stop()).code).toBe(0);
  });
});
