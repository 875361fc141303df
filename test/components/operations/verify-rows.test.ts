import { beforeEach, describe, expect, it } from 'vitest';
import { DatabaseLedger } from '../../../src/database/ledger.js';
import { generateKey } from '../../../src/fernet/index.js';
import { freshName, runCli, startCli, waitFor } from '../../harness/index.js';
import { CONNECTION, eventRecord, OTHER } from '../pipeline/events.js';
import { plantReference } from '../pipeline/planted.js';
import { runHere, VerifyWorld } from './verify-worlds.js';

let world: VerifyWorld;
const one = (): string => world.id('one');

async function fill(): Promise<void> {
  await world.bench.handle(eventRecord({ name: 'one', password: 'MARK-one', at: 1 }));
  await world.bench.handle(eventRecord({ id: OTHER, name: 'two', password: 'MARK-two', at: 1 }));
}

describe('verify: what the database says by itself', () => {
  beforeEach(async () => {
    world = await VerifyWorld.open('local');
    await fill();
  });

  it('retires a row that no field refers to, and reports a field without a row', async () => {
    await world.bench.change(`DELETE FROM secret_reference WHERE connection_id = '${CONNECTION}'`);
    await world.bench.change(`DELETE FROM stored_secret WHERE connection_id = '${OTHER}'`);
    const { code, kinds } = await world.verify();
    expect({ code, kinds: kinds.sort() }).toEqual({
      code: 1,
      // The secret of the field without a row is in the store, and nothing records it.
      kinds: ['orphan: open', 'unrecorded: open', 'unreferenced: open'],
    });
    expect((await world.verify('--repair')).kinds.sort()).toEqual([
      'orphan: open',
      'unrecorded: open',
      'unreferenced: repaired',
    ]);
    expect(await world.bench.stored()).toEqual({ [one()]: 'retired' });
    expect(await world.bench.valueOf(world.id('two'))).toBe('MARK-two');
  });

  it('reports a row of a connection that does not exist', async () => {
    await world.bench.change(`DELETE FROM secret_reference WHERE connection_id = '${CONNECTION}'`);
    await world.bench.change(`DELETE FROM connection WHERE id = '${CONNECTION}'`);
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['unreferenced: open'] });
  });

  it('reports a token that no key opens, and does not touch it', async () => {
    const other = `fernet:gAAAAABk${'x'.repeat(100)}`;
    await world.bench.change(
      `UPDATE secret_reference SET sealed = '${other}' WHERE connection_id = '${CONNECTION}'`,
    );
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['token: open'] });
    expect(await world.verify('--repair')).toMatchObject({ code: 1, kinds: ['token: open'] });
  });

  it('reports the field of an older reference to another connection’s secret, and repairs nothing', async () => {
    const handle = (record: ReturnType<typeof eventRecord>) => world.bench.handle(record);
    const squatter = { id: `${OTHER}-s`, name: 'squatter' };
    await world.bench.handle(eventRecord({ id: `${OTHER}-t`, name: 'three', password: null, at: 1 }));
    await plantReference(world.bench.worker, handle, squatter, one().toUpperCase());
    const { code, answer } = await world.verify('--repair');
    expect(code).toBe(1);
    const found = answer?.findings.filter(({ kind }) => kind === 'foreign-reference');
    expect(found).toMatchObject([
      { state: 'open', connectionId: squatter.id, path: '/connection/config/password' },
    ]);
    expect(JSON.stringify(found)).toContain('REFERENCE_FOREIGN');
    await world.bench.handle(eventRecord({ ...squatter, password: 'MARK-own', at: 2 }));
    expect(await world.verify()).toMatchObject({ code: 0 });
  });

  it('reports an event that is still unpublished after a while', async () => {
    await world.bench.change(
      `UPDATE connection SET unpublished_since_ms = updated_at_ms WHERE id = '${OTHER}'`,
    );
    expect(await world.verify()).toMatchObject({ code: 0 });
    await world.bench.change(`UPDATE connection SET unpublished_since_ms = 1000 WHERE id = '${OTHER}'`);
    const { code, answer } = await world.verify();
    expect({ code, findings: answer?.findings }).toMatchObject({
      code: 1,
      findings: [{ kind: 'unsent', connectionId: OTHER }],
    });
  });

  it('looks at one connection if that is asked for, and refuses one that does not exist', async () => {
    await world.console.change(one(), 'MARK-x');
    await world.console.change(world.id('two'), 'MARK-x');
    const { answer } = await world.verify('--connection', OTHER);
    expect(answer).toMatchObject({ checked: { connections: 1, secrets: 1 } });
    expect(answer?.findings.map(({ connectionId }) => connectionId)).toEqual([OTHER]);
    const none = await world.verify('--connection', 'none');
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain('USAGE_INVALID');
  });

  it('takes no secret that is being written for an orphan, and skips a connection under a claim', async () => {
    const { database, identity } = world.bench.worker;
    const ledger = new DatabaseLedger(database, {
      claimMs: 60_000,
      managerEpoch: identity.managerEpoch,
      clock: () => performance.now(),
    });
    await ledger.claim([
      {
        connectionId: CONNECTION,
        eventHash: null,
        secretIds: () => [],
        decide: () => ({ kind: 'write', plan: null, changes: {} }),
      },
    ]);
    await world.bench.change(`UPDATE stored_secret SET state = 'writing' WHERE secret_id = '${one()}'`);
    await world.console.change(one(), 'MARK-on-its-way');
    const { code, answer } = await world.verify();
    expect({ code, findings: answer?.findings, skipped: answer?.skipped }).toMatchObject({
      code: 1,
      findings: [],
      skipped: { busy: 1 },
    });
  });

  it('leaves a secret in doubt to the janitor', async () => {
    await world.console.change(one(), 'MARK-x');
    await world.bench.change(
      `UPDATE stored_secret SET suspect_until_ms = 99999999999999 WHERE secret_id = '${one()}'`,
    );
    expect(await world.verify()).toMatchObject({ code: 0, answer: { skipped: { inDoubt: 1 } } });
  });

  it('values in the database: tokens, and users’ references', async () => {
    world = await VerifyWorld.open('Secrets Manager, the stand-in', { SECRET_MANAGER: 'aws' });
    await world.console.create('/team/there', 'x', null);
    await world.bench.handle(eventRecord({ name: 'one', password: 'MARK-one', at: 1 }));
    await world.bench.handle(eventRecord({ id: OTHER, name: 'two', password: 'secret:/team/there', at: 1 }));
    expect(await world.verify()).toMatchObject({ code: 0, answer: { checked: { external: 1, secrets: 0 } } });
    await world.console.remove('/team/there');
    const { code, answer } = await world.verify('--repair');
    expect({ code, findings: answer?.findings }).toMatchObject({
      code: 1,
      findings: [{ kind: 'external', state: 'open', connectionId: OTHER, secretId: '/team/there' }],
    });
    expect(answer?.findings[0]?.detail).not.toMatch(/grant|permission/);
  });
});

describe('verify: stores that do not answer as they should', () => {
  const standin = () => world.standin!;

  it('names the missing right to list, and looks at the rest', async () => {
    world = await VerifyWorld.open('Secrets Manager, the stand-in');
    await fill();
    standin().fault({ kind: 'error', operation: 'ListSecrets', name: 'AccessDeniedException' });
    const { code, answer } = await world.verify();
    expect(code).toBe(1);
    expect(answer?.findings.map(({ kind }) => kind)).toEqual(['denied']);
    expect(answer?.findings[0]?.detail).toContain('grant secretsmanager:ListSecrets');
    expect(answer?.checked).toMatchObject({ secrets: 2 });
  });

  it.each(['Secrets Manager, the stand-in', 'Parameter Store, the stand-in'] as const)(
    '%s: nothing may be read: one error that names the right',
    async (name) => {
      world = await VerifyWorld.open(name);
      await fill();
      await world.bench.close();
      standin().fault({ kind: 'error', name: 'AccessDeniedException' });
      for (const [flags, says] of [
        [[], /STORE_ACCESS.*grant (secretsmanager:GetSecretValue|ssm:GetParameters)/],
        // It asks first who works on the store.
        [['--repair'], /STORE_ACCESS.*(GetSecretValue|GetParameters) failed with AccessDeniedException/],
      ] as const) {
        const { code, stdout, stderr } = await runHere(['verify', '--json', ...flags], world.envOf());
        expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
        expect(stderr).toMatch(says);
      }
    },
  );

  it('tries again after transient failures, and gives one error if the store is down', async () => {
    world = await VerifyWorld.open('Parameter Store, the stand-in');
    await fill();
    standin().fault({ kind: 'error', operation: 'GetParameters', name: 'ThrottlingException', times: 2 });
    expect(await world.verify()).toMatchObject({ code: 0 });
    const down = await runCli(['verify', '--json'], {
      env: world.envOf({ AWS_ENDPOINT_URL: 'http://127.0.0.1:9' }),
    });
    expect(down).toMatchObject({ code: 1, stdout: '' });
    expect(down.stderr).toContain('STORE_UNAVAILABLE');
  });

  it('records no secret as lost if all are missing, because the store is not ours then', async () => {
    world = await VerifyWorld.open('Secrets Manager, the stand-in');
    await fill();
    await world.bench.handle(eventRecord({ id: `${OTHER}-3`, name: 'three', password: 'MARK-3', at: 1 }));
    standin().reset();
    const { code, kinds } = await world.verify('--repair');
    expect({ code, kinds }).toEqual({ code: 1, kinds: Array.from({ length: 3 }, () => 'missing: open') });
    expect(await world.bench.kept()).toEqual([]);
  });

  it('cancels the deletion that somebody scheduled', async () => {
    world = await VerifyWorld.open('Secrets Manager, the stand-in');
    await fill();
    await world.bench.delete(one(), CONNECTION);
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['scheduled: open'] });
    expect(await world.verify('--repair')).toMatchObject({ code: 0, kinds: ['scheduled: repaired'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-one');
  });

  it('does not touch a secret that was made anew under the same version number: only its value differs', async () => {
    world = await VerifyWorld.open('Parameter Store, the stand-in');
    await fill();
    await world.console.remove(one());
    await world.console.create(one(), 'MARK-theirs', CONNECTION);
    // Without the installation's tag it may be another system's: nothing puts ours on it.
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['replaced: open', 'tags: open'] });
    expect(await world.verify('--repair')).toMatchObject({
      code: 1,
      kinds: ['replaced: open', 'tags: left'],
    });
    expect(await world.bench.valueOf(one())).toBe('MARK-theirs');
  });

  it('says that SIGINT stopped it', async () => {
    world = await VerifyWorld.open('Parameter Store, the stand-in');
    await fill();
    standin().configure({ latencyMs: 1_500 });
    const command = startCli(['verify', '--json'], world.envOf());
    await waitFor(() => standin().calls.some(({ operation }) => operation === 'DescribeParameters'), {
      what: 'the first request',
      timeoutMs: 30_000,
    });
    process.kill(command.pid, 'SIGINT');
    const { code } = await command.waitForExit();
    expect(code, command.stderr()).toBe(1);
    expect(command.stderr()).toContain('Stopped at a safe point');
    expect(command.stdout()).toContain('"ok": false');
  });
});

describe('verify: wrong settings', () => {
  it.each([
    { title: 'another key', env: () => ({ FERNET_KEY: generateKey() }), code: 2, says: 'KEY_MISMATCH' },
    {
      title: 'a vault that is not there',
      env: () => ({ LOCAL_VAULT_FILE: `/nowhere/${freshName('v')}` }),
      code: 1,
      says: 'STORE_UNAVAILABLE',
    },
  ])('$title', async ({ env, code, says }) => {
    world = await VerifyWorld.open('local');
    await fill();
    const result = await runCli(['verify'], { env: world.envOf(env()) });
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toContain(says);
  });
});
