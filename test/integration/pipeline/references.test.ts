import { describe, expect, it } from 'vitest';
import { rememberOwnPrefix } from '../../../src/database/own-prefixes.js';
import { refersToAny } from '../../../src/pipeline/reference-refusals.js';
import { generateKey, KeyRing } from '../../../src/fernet/index.js';
import { sha256Hex } from '../../../src/hash.js';
import { createSecretIdBuilder } from '../../../src/ids/index.js';
import { republish } from '../../../src/operations/republish.js';
import { referenceRow } from '../../../src/pipeline/references.js';
import { SecretValue } from '../../../src/secret-value.js';
import type { Json } from '../../../src/terms.js';
import { UNSENT } from '../../harness/index.js';
import { describeEngines } from '../database/support.js';
import {
  CONNECTION,
  deletion,
  eventRecord,
  MASKED,
  OTHER,
  PASSWORD_ID,
} from '../../components/pipeline/events.js';
import { codeOf, openBench, type BenchWorker } from '../../components/pipeline/fixture.js';
import { plantReference, unsentOfEarlierVersion } from '../../components/pipeline/planted.js';

const ARN = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:';
const OTHERS = { id: OTHER, name: 'other' };

describe('whatever a reader makes another connection’s secret of', () => {
  it.each([
    [`secret:${PASSWORD_ID}`, 'REFERENCE_INVALID'],
    [PASSWORD_ID.replace('open', 'opensecret:'), 'REFERENCE_INVALID'],
    [PASSWORD_ID.replace('open', '%6fpen'), 'REFERENCE_INVALID'],
    [`${ARN}${PASSWORD_ID}-AbCdEf`, 'REFERENCE_FOREIGN'],
    [`/aws/reference/secretsmanager/${PASSWORD_ID}`, 'REFERENCE_FOREIGN'],
    [PASSWORD_ID.toUpperCase(), 'REFERENCE_FOREIGN'],
  ])('secret:%s is refused with %s', async (secretId, code) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await worker.handle(eventRecord({ ...OTHERS, password: `secret:${secretId}` }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code });
    expect(bench.topics.securedOf(OTHER)).toEqual([]);
  });
});

describe('a reference that was taken in before', () => {
  it.each([
    [PASSWORD_ID, 'REFERENCE_FOREIGN'],
    ['/openmetadata/database/other/password', 'REFERENCE_FOREIGN'],
    [`secret:${PASSWORD_ID}`, 'REFERENCE_INVALID'],
  ])('%s goes out no more: a mask of it is refused', async (secretId, code) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await plantReference(worker, (record) => worker.handle(record), OTHERS, secretId);
    const before = bench.topics.securedOf(OTHER).length;
    await worker.handle(eventRecord({ ...OTHERS, password: MASKED, config: { hostPort: 'x:1' }, at: 2 }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code });
    expect(bench.topics.securedOf(OTHER)).toHaveLength(before);
    await worker.handle(eventRecord({ ...OTHERS, password: 'MARK-b', at: 3 }));
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
  });

  it.each([
    [PASSWORD_ID, 'REFERENCE_FOREIGN'],
    [`${ARN}${PASSWORD_ID}-AbCdEf`, 'REFERENCE_FOREIGN'],
    [`secret:${PASSWORD_ID}`, 'REFERENCE_INVALID'],
    // Not under a prefix of ours: only the database knows whose it is.
    ['/adopted/theirs', 'REFERENCE_FOREIGN'],
  ])('%s is not published again; others are', async (secretId, code) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await plantReference(worker, (record) => worker.handle(record), OTHERS, secretId);
    await worker.database.run(({ manager, tables }) =>
      manager.update(
        tables.storedSecret,
        { secretId: PASSWORD_ID },
        { secretId: '/adopted/theirs', secretIdHash: sha256Hex('/adopted/theirs') },
      ),
    );
    const again = (connectionId: string) =>
      republish(worker.underClaim, worker.context, {
        connectionId,
        operation: 'republished',
        only: () => true,
      });
    const before = bench.topics.securedOf(OTHER).length;
    expect(await again(OTHER)).toMatchObject({ code });
    expect(await again(CONNECTION)).toBe('done');
    while ((await worker.relay.run(new AbortController().signal)) > 0);
    expect(bench.topics.securedOf(OTHER)).toHaveLength(before);
    expect(bench.topics.lastOf(CONNECTION)).toMatchObject({ operation: 'republished' });
  });

  it('is not carried to another store', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await plantReference(worker, (record) => worker.handle(record), OTHERS, PASSWORD_ID);
    await bench.changeManager('local');
    const moved = await bench.worker({}, 'local');
    expect(await moved.mover.move(OTHER, new AbortController().signal)).toMatchObject({
      kind: 'failed',
      code: 'REFERENCE_FOREIGN',
    });
  });
});

describe('a record that an earlier version has left unsent', () => {
  const SIGNAL = new AbortController().signal;
  /** Two unsent records of one connection; what its field refers to is `secretId`. */
  const left = async (secretId: string, sealer?: KeyRing) => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    await plantReference(worker, (record) => worker.handle(record), OTHERS, '/team-a/planted');
    const before = bench.topics.securedOf(OTHER).length;
    worker.outlet.failures = 2;
    for (const at of [2, 3]) {
      const event = eventRecord({ ...OTHERS, password: MASKED, config: { hostPort: `x:${at}` }, at });
      expect(await codeOf(worker.handle(event))).toBe('BROKER_UNAVAILABLE');
      await bench.expireClaims();
    }
    await unsentOfEarlierVersion(worker);
    await worker.database.run(async ({ manager, tables }) => {
      const row = await manager.findOneByOrFail(tables.reference, { connectionId: OTHER });
      const content = { holds: 'reference', secretId, owned: false, fingerprint: null } as const;
      const rings = { database: sealer ?? worker.context.rings.database };
      await manager.save(tables.reference, referenceRow({ ...row, content }, { ...worker.context, rings }));
    });
    return { bench, worker, published: () => bench.topics.securedOf(OTHER).slice(before) };
  };

  it.each([
    [PASSWORD_ID, 'REFERENCE_FOREIGN'],
    [`secret:${PASSWORD_ID}`, 'REFERENCE_INVALID'],
  ])('is judged as one of today, by the relay and by the next event: %s', async (secretId, code) => {
    const { bench, worker, published } = await left(secretId);
    expect(await worker.relay.run(SIGNAL)).toBe(0);
    expect(published()).toEqual([]);
    expect(await bench.query(UNSENT)).toEqual([]);
    const audit = await bench.query(`SELECT connection_id, detail FROM audit WHERE action = 'refuse'`);
    expect(audit).toEqual([{ connection_id: OTHER, detail: code }]);
    expect(worker.unpublished).toEqual([code]);

    const again = await left(secretId);
    await again.worker.handle(eventRecord({ ...OTHERS, password: 'MARK-b', at: 4 }));
    expect(again.published().map(({ revision }) => revision)).toEqual([4]);
    expect(await again.worker.relay.run(SIGNAL)).toBe(0);
    expect(await again.bench.query(UNSENT)).toEqual([]);
    expect(again.published()).toHaveLength(1);
  });

  it('goes out where it may, the newest of its connection', async () => {
    const { bench, worker, published } = await left('/team-a/planted');
    expect(await worker.relay.run(SIGNAL)).toBe(1);
    expect(published().map(({ revision }) => revision)).toEqual([3]);
    expect(await bench.query(UNSENT)).toEqual([]);
    expect(await bench.query(`SELECT id FROM audit WHERE action = 'refuse'`)).toEqual([]);
  });

  it('waits for a key that opens what its state holds', async () => {
    const { bench, worker, published } = await left('/team-a/planted', KeyRing.parse('OTHER', generateKey()));
    expect(await worker.relay.run(SIGNAL)).toBe(0);
    expect(worker.unpublished).toEqual(['REFERENCE_NOT_OPENED']);
    expect(published()).toEqual([]);
    expect(await bench.query(UNSENT)).toHaveLength(2);
  });
});

describe('a reference in a field that is not taken for a secret', () => {
  const HOSTS = { hostPort: 'x:1' };
  /** Under SECRET_BY_NAME=report a password that no schema declares, too, is left as it is. */
  const open = async (secretByName: string) => {
    const { bench, worker } = await openBench({ env: { SECRET_BY_NAME: secretByName } });
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    return { bench, worker };
  };

  it.each([
    [`secret:${PASSWORD_ID}`, 'REFERENCE_FOREIGN'],
    [`secrets:${PASSWORD_ID}`, 'REFERENCE_FOREIGN'],
    [`  Secret:${PASSWORD_ID}`, 'REFERENCE_FOREIGN'],
    ['secret:/openmetadata/database/not-there/password', 'REFERENCE_FOREIGN'],
    [`secret:${ARN}${PASSWORD_ID}-AbCdEf`, 'REFERENCE_FOREIGN'],
    [`secret:secret:${PASSWORD_ID}`, 'REFERENCE_INVALID'],
    [`secret: ${PASSWORD_ID}%20`, 'REFERENCE_INVALID'],
    ['secret:/team-a/x', null],
  ])('%s: %s', async (text, code) => {
    const places: [string, Record<string, Json>][] = [
      ['externalise', { ...HOSTS, label: text }],
      ['externalise', { ...HOSTS, options: [{ deep: [text] }] }],
      ['report', { ...HOSTS, connectionOptions: { apiKey: text } }],
    ];
    for (const [secretByName, config] of places) {
      const { bench, worker } = await open(secretByName);
      await worker.handle(eventRecord({ ...OTHERS, password: 'MARK-own', config }));
      expect(worker.last()).toMatchObject(
        code === null ? { outcome: 'applied' } : { outcome: 'refused', code, writes: 0 },
      );
      expect(bench.topics.securedOf(OTHER)).toHaveLength(code === null ? 1 : 0);
    }
  });

  it('names the field; free text is left', async () => {
    const { bench, worker } = await open('externalise');
    const label = `secret:${PASSWORD_ID}`;
    await worker.handle(eventRecord({ ...OTHERS, password: 'MARK-b', config: { ...HOSTS, label }, at: 1 }));
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain('/connection/config/label');
    expect(row?.['detail']).not.toContain(PASSWORD_ID);
    const description = 'secret: ask the owner';
    await worker.handle(
      eventRecord({ ...OTHERS, password: 'MARK-b', config: { ...HOSTS, description }, at: 2 }),
    );
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
  });

  it('of before is not published again, though only the database knows whose it is', async () => {
    const { bench, worker } = await open('externalise');
    const config = { ...HOSTS, label: 'secret:/team-a/planted' };
    await worker.handle(eventRecord({ ...OTHERS, password: 'MARK-b', config, at: 1 }));
    await worker.database.run(({ manager, tables }) =>
      manager.update(
        tables.storedSecret,
        { secretId: PASSWORD_ID },
        { secretId: '/team-a/planted', secretIdHash: sha256Hex('/team-a/planted') },
      ),
    );
    expect(
      await republish(worker.underClaim, worker.context, {
        connectionId: OTHER,
        operation: 'republished',
        only: () => true,
      }),
    ).toMatchObject({ code: 'REFERENCE_FOREIGN', field: '/connection/config/label' });
    await worker.handle(eventRecord({ ...OTHERS, password: MASKED, config, at: 2 }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    expect(bench.topics.securedOf(OTHER)).toHaveLength(1);
  });
});

describe('a name that another connection refers to already', () => {
  const squat = async (secretId: string, adopt = 'false') => {
    const { bench, worker } = await openBench({ env: { SECRET_ADOPT: adopt } });
    await plantReference(worker, (record) => worker.handle(record), OTHERS, secretId);
    return { bench, worker };
  };

  it.each([
    ['a text', 'MARK-a', 'false'],
    ['a reference that would adopt it', `secret:${PASSWORD_ID}`, 'true'],
  ])('is not created: %s', async (_, password, adopt) => {
    const { bench, worker } = await squat(PASSWORD_ID, adopt);
    await worker.handle(eventRecord({ password }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_REFERRED' });
    expect(await bench.store.valueOf(PASSWORD_ID)).toBeNull();
    expect(await bench.stored()).toEqual({});
    const [row] = await bench.query('SELECT detail FROM dead_letter');
    expect(row?.['detail']).toContain(PASSWORD_ID);
    expect(row?.['detail']).toContain(OTHER);
    await worker.handle(eventRecord({ ...OTHERS, password: null, at: 2 }));
    await bench.makeDue();
    await worker.pipeline.retryKept(new AbortController().signal);
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
  });

  describeEngines('is created once nobody else refers to it', (engine) => {
    it.each<[string, (worker: BenchWorker) => Promise<unknown>]>([
      ['the field is cleared', (worker) => worker.handle(eventRecord({ ...OTHERS, password: null, at: 2 }))],
      ['the field is gone', (worker) => worker.handle(eventRecord({ ...OTHERS, at: 2 }))],
      ['it has a text', (worker) => worker.handle(eventRecord({ ...OTHERS, password: 'MARK-b', at: 2 }))],
      [
        'it refers to another',
        (worker) => worker.handle(eventRecord({ ...OTHERS, password: 'secret:/team-a/other', at: 2 })),
      ],
      ['the connection is deleted', (worker) => worker.handle(deletion(2, OTHERS))],
    ])('and is tried at once: %s', async (_, withdraw) => {
      const { bench, worker } = await openBench({ engine });
      await plantReference(worker, (record) => worker.handle(record), OTHERS, PASSWORD_ID);
      await worker.handle(eventRecord({ password: 'MARK-a' }));
      // Somebody else's reference goes: that changes nothing for it.
      const third = { id: 'c0ffee00-0000-4000-8000-0000000000ff', name: 'third' };
      await worker.handle(eventRecord({ ...third, password: 'secret:/team-a/third', at: 1 }));
      await worker.handle(eventRecord({ ...third, password: null, at: 2 }));
      expect(await worker.pipeline.retryKept(new AbortController().signal)).toBe(0);
      await withdraw(worker);
      expect(await worker.pipeline.retryKept(new AbortController().signal)).toBe(1);
      expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-a');
      expect(await bench.kept()).toEqual([]);
    });
  });

  it('is not created by a rename, nor by a change of manager', async () => {
    const renamedId = PASSWORD_ID.replace('mysql-test', 'renamed');
    const { bench, worker } = await squat(renamedId);
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await worker.handle(eventRecord({ name: 'renamed', password: MASKED, at: 2 }));
    expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'SECRET_ID_REFERRED' });
    expect(await bench.stored()).toEqual({ [PASSWORD_ID]: 'live' });
    const third = { id: 'c0ffee00-0000-4000-8000-0000000000ff', name: 'third' };
    await plantReference(worker, (record) => worker.handle(record), third, PASSWORD_ID);
    await bench.changeManager('local');
    const moved = await bench.worker({}, 'local');
    expect(await moved.mover.move(CONNECTION, new AbortController().signal)).toMatchObject({
      code: 'SECRET_ID_REFERRED',
    });
    expect(await bench.storeOf('local').valueOf(PASSWORD_ID)).toBeNull();
  });

  it('is changed all the same where it was created before', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a', at: 1 }));
    await plantReference(worker, (record) => worker.handle(record), OTHERS, PASSWORD_ID);
    await worker.handle(eventRecord({ password: 'MARK-b', at: 2 }));
    expect(await bench.store.valueOf(PASSWORD_ID)).toBe('MARK-b');
  });
});

describe('SECRET_ADOPT=true takes over by event only what one entity alone can mean', () => {
  const open = async (name: string) => {
    const { bench, worker } = await openBench({ env: { SECRET_ADOPT: 'true' } });
    const secretId = worker.context.ids.build('database', name, ['password'], CONNECTION);
    bench.store.inner.placeUnowned(secretId, new SecretValue('MARK-theirs'));
    return { bench, worker, secretId };
  };

  it.each(['Fin', 'fin db', 'fin/authtype', 'f.in'])('not by the name %s', async (name) => {
    const { bench, worker, secretId } = await open(name);
    for (const [at, password] of [`secret:${secretId}`, 'MARK-a'].entries()) {
      await worker.handle(eventRecord({ name, password, at: at + 1 }));
      expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'ADOPTION_AMBIGUOUS' });
    }
    expect(await bench.store.valueOf(secretId)).toBe('MARK-theirs');
    expect(bench.topics.securedOf(CONNECTION)).toEqual([]);
  });

  it.each(['FIN', 'fin/authtype'])('not while %s could mean it as well', async (name) => {
    const { bench, worker, secretId } = await open('fin');
    await worker.handle(eventRecord({ ...OTHERS, name, config: { hostPort: 'h:1' } }));
    for (const [at, password] of [`secret:${secretId}`, 'MARK-a'].entries()) {
      await worker.handle(eventRecord({ name: 'fin', password, at: at + 1 }));
      expect(worker.last()).toMatchObject({ outcome: 'refused', code: 'ADOPTION_AMBIGUOUS' });
    }
    const details = await bench.query('SELECT detail FROM dead_letter');
    expect(JSON.stringify(details)).toContain(OTHER);
    expect(await bench.store.valueOf(secretId)).toBe('MARK-theirs');
  });

  it('by a name that the id keeps as it is, and no other connection has', async () => {
    const { bench, worker, secretId } = await open('fin');
    await worker.handle(eventRecord({ ...OTHERS, name: 'fine', config: { hostPort: 'h:1' } }));
    await worker.handle(eventRecord({ name: 'fin', password: `secret:${secretId}`, at: 1 }));
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    expect(bench.topics.lastOf(CONNECTION)?.secretFields).toMatchObject([{ owned: true }]);
  });
});

describe('prefixes of before', () => {
  const prefixes = (cluster: string, formerPrefixes: readonly string[]) =>
    createSecretIdBuilder({
      idStyle: 'slash',
      strict: false,
      prefix: '',
      cluster,
      maxIdLength: 512,
      formerPrefixes,
    }).ownPrefixes;

  it('are remembered from start to start', async () => {
    const { worker } = await openBench();
    const remember = (prefix: string, managerEpoch: number) =>
      rememberOwnPrefix(worker.database, prefix, { managerEpoch }, () => false);
    expect(await remember('/one/', 1)).toEqual({ ownPrefixes: ['/one/'], managerEpoch: 1 });
    expect(await remember('/two/', 1)).toEqual({ ownPrefixes: ['/one/', '/two/'], managerEpoch: 2 });
    expect(await remember('/one/', 2)).toEqual({ ownPrefixes: ['/one/', '/two/'], managerEpoch: 2 });
    // Who does not know the new prefix decides nothing any more: a reference to it would pass.
    expect(await codeOf(worker.handle(eventRecord({ password: 'secret:/two/database/x/y' })))).toBe(
      'MANAGER_MISMATCH',
    );
    expect(prefixes('three', ['/one/', '/two/'])).toEqual(['/three/', '/one/', '/two/']);
  });

  it.each([
    ['as it is', { password: 'secret:/renamed/database/victim/password' }],
    ['as an ARN', { password: `secret:${ARN}/renamed/database/victim/password-AbCdEf` }],
    ['in capitals', { password: 'secret:/Renamed/database/victim/password' }],
    ['in a plain field', { config: { username: 'secret:/renamed/database/victim/password' } }],
  ])('are not taken on while somebody refers to a name under them: %s', async (_, fields) => {
    const { worker } = await openBench();
    const remember = (prefix: string) =>
      rememberOwnPrefix(worker.database, prefix, { managerEpoch: 1 }, (connection, references, prefixes) =>
        refersToAny(connection, references, prefixes, worker.context.rings.database),
      );
    await remember('/openmetadata/');
    await worker.handle(eventRecord(fields));
    expect(worker.last()).toMatchObject({ outcome: 'applied' });
    await expect(remember('/renamed/')).rejects.toThrow(CONNECTION);
    expect(await remember('/openmetadata/')).toEqual({ ownPrefixes: ['/openmetadata/'], managerEpoch: 1 });
    await worker.handle(eventRecord({ password: 'MARK-own', at: 2 }));
    expect((await remember('/renamed/')).ownPrefixes).toEqual(['/openmetadata/', '/renamed/']);
  });

  it('are told from the secrets of a database that has no list yet', async () => {
    const { bench, worker } = await openBench();
    await worker.handle(eventRecord({ password: 'MARK-a' }));
    const { ownPrefixes } = await rememberOwnPrefix(
      worker.database,
      '/renamed/',
      { managerEpoch: 1 },
      () => false,
    );
    expect(ownPrefixes).toEqual(['/openmetadata/', '/renamed/']);
    const renamed = await bench.worker();
    expect(renamed.context.ids.ownPrefixes).toContain('/renamed/');
    for (const secretId of ['/renamed/database/x/password', `${ARN}/renamed/database/x/password-AbCdEf`]) {
      await renamed.handle(eventRecord({ ...OTHERS, password: `secret:${secretId}` }));
      expect(renamed.last()).toMatchObject({ outcome: 'refused', code: 'REFERENCE_FOREIGN' });
    }
  });
});
