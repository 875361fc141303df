import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ManagerName } from '../../src/terms.js';
import { createSecretsManager } from '../../src/secrets-managers/registry.js';
import { describeAwsFaults, openBench, type FaultBench } from './aws-faults.js';
import { TEST_INSTALLATION } from '../harness/ownership.js';
import {
  CONNECTION,
  errorOf,
  freshId,
  freshToken,
  putItem,
  reference,
  storeCall,
  testSettings,
  valueOf,
} from './fixture.js';

describeAwsFaults('managed-aws');
describeAwsFaults('managed-aws-ssm');

function withBench(name: ManagerName, define: (given: () => FaultBench) => void): void {
  describe(name, () => {
    let bench: FaultBench;
    beforeAll(async () => {
      bench = await openBench(name);
    });
    beforeEach(() => {
      bench.standin.reset();
    });
    afterAll(async () => {
      await bench.close();
    });
    define(() => bench);
  });
}

withBench('managed-aws', (given) => {
  it('needs one call for a new field and one for a changed one', async () => {
    const id = freshId();
    await given().manager.store.put([putItem(id, 'one')], storeCall());
    expect(given().operations()).toEqual(['CreateSecret']);
    given().standin.clearCalls();
    await given().manager.store.put([putItem(id, 'two', { known: true })], storeCall());
    expect(given().operations()).toEqual(['PutSecretValue']);
  });

  it('reads 45 ids in three calls', async () => {
    const ids = Array.from({ length: 45 }, () => freshId());
    for (const secretId of ids) given().standin.seed('secretsmanager', { secretId, value: 'v' });
    await given().manager.store.get(
      ids.map((id) => ({ reference: reference(id) })),
      storeCall(),
    );
    expect(given().operations()).toEqual(Array.from({ length: 3 }, () => 'BatchGetSecretValue'));
  });

  it('asks one by one where batches are not permitted, and does not ask for a batch again', async () => {
    const bench = await openBench('managed-aws');
    const ids = [freshId(), freshId()];
    for (const secretId of ids) bench.standin.seed('secretsmanager', { secretId, value: 'v' });
    bench.standin.fault({ kind: 'deny', operation: 'BatchGetSecretValue' });
    for (let time = 0; time < 2; time += 1) {
      const results = await bench.manager.store.get(
        ids.map((id) => ({ reference: reference(id) })),
        storeCall(),
      );
      expect(results.every((result) => result.ok)).toBe(true);
    }
    expect(bench.operations().filter((operation) => operation === 'BatchGetSecretValue')).toHaveLength(1);
    await bench.close();
  });

  it('reads by ARN, and refuses binary secrets without taking them for absent', async () => {
    const [id, binary] = [freshId(), freshId()];
    given().standin.seed('secretsmanager', { secretId: id, value: 'by arn' });
    given().standin.seed('secretsmanager', { secretId: binary, binaryBase64: 'AAEC' });
    const arn = await arnOf(given(), id);
    const wanted = [arn, binary, id, arn];
    const results = await given().manager.store.get(
      wanted.map((one) => ({ reference: reference(one) })),
      storeCall(),
    );
    expect(results.map((result) => (result.ok ? result.value.value.reveal() : result.error.class))).toEqual([
      'by arn',
      'invalid',
      'by arn',
      'by arn',
    ]);
  });

  it.each([
    ['with a recovery window', 'false'],
    ['at once', 'true'],
  ])('deletes %s', async (_name, forceDelete) => {
    const bench = await openBench('managed-aws', { AWS_SM_FORCE_DELETE: forceDelete });
    const id = freshId();
    await bench.manager.store.put([putItem(id, 'v')], storeCall());
    const named = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
    expect(await bench.manager.store.delete([named], storeCall())).toEqual([{ ok: true, value: 'deleted' }]);
    expect(bench.standin.secrets().map((secret) => secret.scheduledForDeletion)).toEqual(
      forceDelete === 'true' ? [] : [true],
    );
    await bench.close();
  });

  it('tags what it creates, keeps foreign tags when it adopts, and tags before it writes', async () => {
    const [own, theirs] = [freshId(), freshId()];
    given().standin.seed('secretsmanager', { secretId: theirs, value: 'theirs', tags: { app: 'om' } });
    const items = [putItem(own, 'a'), putItem(theirs, 'b', { adopt: true })];
    for (const item of items) await given().manager.store.put([item], storeCall());
    const ours = {
      'managed-by': 'connection-secrets-worker',
      'connection-id': CONNECTION,
      installation: TEST_INSTALLATION.id,
      team: 'metadata',
    };
    const tags = Object.fromEntries(
      given()
        .standin.secrets()
        .map((one) => [one.secretId, one.tags]),
    );
    const adopted = { 'connection-secrets-adopted': 'true' };
    expect(tags).toEqual({ [own]: ours, [theirs]: { app: 'om', ...ours, ...adopted } });
    const operations = given().operations().slice(1);
    expect(operations).toEqual(['CreateSecret', 'DescribeSecret', 'TagResource', 'PutSecretValue']);
  });

  it('brings back a recorded version of a secret that a late request deleted', async () => {
    const id = freshId();
    const [first] = await given().manager.store.put([putItem(id, 'one')], storeCall());
    const named = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
    await given().manager.store.delete([named], storeCall());
    const { version } = valueOf(first);
    const item = { ...named, version, requestKey: freshToken() };
    expect(valueOf(await given().manager.store.restore(item, storeCall()))).toEqual({ version });
    expect(given().standin.secrets()[0]).toMatchObject({ value: 'one', scheduledForDeletion: false });
  });

  it('says that a version has gone after a hundred newer ones', async () => {
    const id = freshId();
    const [first] = await given().manager.store.put([putItem(id, 'one')], storeCall());
    for (let count = 0; count < 101; count += 1) {
      await given().manager.store.put([putItem(id, `v${count}`, { known: true })], storeCall());
    }
    const item = {
      reference: reference(id),
      connectionId: CONNECTION,
      version: valueOf(first).version,
      requestKey: freshToken(),
    };
    const restored = await given().manager.store.restore(item, storeCall());
    expect(errorOf(restored).code).toBe('SECRET_VERSION_GONE');
  });

  it.each(['/openmetadata/database/a/x-secret', '/a b', '/ä', ''])(
    'refuses the id "%s" before any call',
    async (id) => {
      const [refused] = await given().manager.store.put([putItem(id, 'v')], storeCall());
      expect(errorOf(refused).class).toBe('invalid');
      expect(given().operations()).toEqual([]);
    },
  );
});

withBench('managed-aws-ssm', (given) => {
  it('needs one call for a new field and one for a changed one', async () => {
    const id = freshId();
    await given().manager.store.put([putItem(id, 'one')], storeCall());
    await given().manager.store.put([putItem(id, 'two', { known: true })], storeCall());
    expect(given().operations()).toEqual(['PutParameter', 'PutParameter']);
  });

  it('reads 45 ids in five calls', async () => {
    const ids = Array.from({ length: 45 }, () => freshId());
    for (const secretId of ids) given().standin.seed('ssm', { secretId, value: 'v' });
    await given().manager.store.get(
      ids.map((id) => ({ reference: reference(id) })),
      storeCall(),
    );
    expect(given().operations()).toEqual(Array.from({ length: 5 }, () => 'GetParameters'));
  });

  it('tags a parameter that a change has created, also when the first try to tag it fails', async () => {
    const id = freshId();
    given().standin.fault({ kind: 'server-error', operation: 'AddTagsToResource', times: 1 });
    const [failed] = await given().manager.store.put([putItem(id, 'one', { known: true })], storeCall());
    expect(errorOf(failed).applied).toBe('unknown');
    await given().manager.store.put([putItem(id, 'one', { known: true })], storeCall());
    expect(given().standin.secrets()[0]?.tags).toMatchObject({ 'connection-id': CONNECTION });
  });

  it.each(['a{{b}}', '{{ssm:/x}}'])('refuses the value %s before any call', async (value) => {
    const [refused] = await given().manager.store.put([putItem(freshId(), value)], storeCall());
    expect(errorOf(refused)).toMatchObject({ class: 'invalid', code: 'VALUE_REFUSED_BY_STORE' });
    expect(given().operations()).toEqual([]);
  });

  it.each(['/aws/x', '/ssm-x', '/a//b', '/a/', '/a b', `/${'a/'.repeat(15)}b`, ''])(
    'refuses the id "%s" before any call',
    async (id) => {
      const [refused] = await given().manager.store.put([putItem(id, 'v')], storeCall());
      expect(errorOf(refused).class).toBe('invalid');
      expect(given().operations()).toEqual([]);
    },
  );

  it('takes 15 levels', async () => {
    const id = `/${'a/'.repeat(14)}b`;
    expect((await given().manager.store.put([putItem(id, 'v')], storeCall()))[0]?.ok).toBe(true);
  });

  it('takes 8,192 bytes in the advanced tier, and changes an advanced parameter in the standard one', async () => {
    const bench = await openBench('managed-aws-ssm', { SSM_TIER: 'advanced' });
    const id = freshId();
    await bench.manager.store.put([putItem(id, 'x'.repeat(8_192))], storeCall());
    const settings = testSettings({ AWS_ENDPOINT_URL: bench.standin.url });
    const keys = { seal: (text: string) => text, open: (token: string) => token };
    const standard = await createSecretsManager('managed-aws-ssm', settings, { keys });
    const [changed] = await standard.store.put([putItem(id, 'short', { known: true })], storeCall());
    expect(changed?.ok).toBe(true);
    await standard.store.close();
    await bench.close();
  });
});

for (const [name, service] of [
  ['aws', 'secretsmanager'],
  ['aws-ssm', 'ssm'],
] as const) {
  withBench(name, (given) => {
    it('makes no call for anything it writes, deletes or checks', async () => {
      const { store } = given().manager;
      const [stored] = await store.put([putItem(freshId(), 'v')], storeCall());
      const token = valueOf(stored).reference;
      await store.get([{ reference: token }], storeCall());
      await store.check(storeCall());
      await store.delete([{ reference: token, connectionId: CONNECTION, isCommitted: true }], storeCall());
      expect(given().operations()).toEqual([]);
    });

    it('reads what a user’s reference names, and never changes it', async () => {
      const id = freshId();
      const tags = { 'managed-by': 'connection-secrets-worker', 'connection-id': CONNECTION };
      given().standin.seed(service, { secretId: id, value: 'theirs', tags });
      const { store } = given().manager;
      const [sealed] = await store.put([putItem(freshId(), 'ours')], storeCall());
      const results = await store.get(
        [{ reference: reference(id) }, { reference: valueOf(sealed).reference }],
        storeCall(),
      );
      expect(results.map((result) => valueOf(result).value.reveal())).toEqual(['theirs', 'ours']);
      const named = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
      const [refused] = await store.delete([named], storeCall());
      expect(errorOf(refused).code).toBe('SECRET_NOT_OWNED');
      const restored = await store.restore({ ...named, version: '1', requestKey: freshToken() }, storeCall());
      expect(errorOf(restored).code).toBe('SECRET_NOT_OWNED');
      expect(given().standin.calls.filter((call) => call.write)).toEqual([]);
    });
  });
}

async function arnOf(bench: FaultBench, secretId: string): Promise<string> {
  const response = await fetch(bench.standin.url, {
    method: 'POST',
    headers: { 'x-amz-target': 'secretsmanager.DescribeSecret' },
    body: JSON.stringify({ SecretId: secretId }),
  });
  return ((await response.json()) as { ARN: string }).ARN;
}
