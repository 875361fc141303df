import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createResolver,
  SecretAccessError,
  SecretNotFoundError,
  SecretStoreUnavailableError,
} from '../../../src/ingestion/index.js';
import type { ResolverOptions } from '../../../src/ingestion/index.js';
import { startAwsStandin } from '../../harness/aws-standin/index.js';
import type { AwsStandin } from '../../harness/aws-standin/index.js';
import { awsClients, describeWith, disposeLater, freePort, freshName } from '../../harness/index.js';
import { awsOptions, putParameter, putSecret, STORES } from './support.js';

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

function resolver(endpoint: string, options: Partial<ResolverOptions> = {}) {
  const made = createResolver({ settings: awsOptions(endpoint), ...options });
  disposeLater(() => made.close());
  return made;
}

describeWith(['moto'], 'resolving against AWS', ({ moto }) => {
  it('reads many values of both stores', async () => {
    const clients = awsClients(moto);
    const prefix = `/${freshName('resolve')}`;
    const names = range(25).map((at) => `${prefix}/${at}`);
    await Promise.all(names.map((name) => putSecret(clients, name, `sm ${name}`)));
    await Promise.all(names.map((name) => putParameter(clients, name, `ssm ${name}`)));
    const one = resolver(moto);
    const references = names.map((name) => `secret:${name}`);
    const [sm, ssm] = await Promise.all([
      one.resolveAll(references, { store: STORES.secretsManager }),
      one.resolveAll(references, { store: STORES.ssm }),
    ]);
    expect(sm.map((value) => value.reveal())).toEqual(names.map((name) => `sm ${name}`));
    expect(ssm.map((value) => value.reveal())).toEqual(names.map((name) => `ssm ${name}`));
  });

  it.each([STORES.secretsManager, STORES.ssm])('tells what is not there in $provider', async (store) => {
    const name = `secret:/${freshName('missing')}`;
    const failed = resolver(moto).resolve(name, { store });
    await expect(failed).rejects.toThrow(SecretNotFoundError);
    await expect(failed).rejects.toThrow(name);
  });
});

describe('resolving against a store that says no', () => {
  let standin: AwsStandin;
  beforeAll(async () => {
    standin = await startAwsStandin();
  });
  afterAll(() => standin.close());

  it('asks 20 names a call in Secrets Manager, 10 in SSM, each once', async () => {
    for (const service of ['secretsmanager', 'ssm'] as const)
      for (const at of range(45)) standin.seed(service, { secretId: `/batch/${at}`, value: `v${at}` });
    const references = range(45).map((at) => `secret:/batch/${at}`);
    for (const [store, operation, calls] of [
      [STORES.secretsManager, 'BatchGetSecretValue', 3],
      [STORES.ssm, 'GetParameters', 5],
    ] as const) {
      standin.clearCalls();
      const one = resolver(standin.url);
      const values = await Promise.all(references.map((reference) => one.resolve(reference, { store })));
      expect(values.map((value) => value.reveal())).toEqual(range(45).map((at) => `v${at}`));
      await one.resolveAll(references, { store });
      expect(standin.calls.map((call) => call.operation)).toEqual(Array(calls).fill(operation));
    }
  });

  it('tells no permission from not there and from down', async () => {
    standin.seed('secretsmanager', { secretId: '/denied', value: 'the-hidden-value' });
    standin.fault({ kind: 'deny', secretId: '/denied' });
    const error: unknown = await resolver(standin.url)
      .resolve('secret:/denied', { store: STORES.secretsManager })
      .catch((thrown: unknown) => thrown);
    standin.clearFaults();
    expect(error).toBeInstanceOf(SecretAccessError);
    expect(inspect(error, { depth: 9 })).not.toContain('the-hidden-value');
    const down = resolver(`http://127.0.0.1:${await freePort()}`);
    for (const store of [STORES.secretsManager, STORES.ssm])
      await expect(down.resolve('secret:/any', { store })).rejects.toThrow(SecretStoreUnavailableError);
  });
});
