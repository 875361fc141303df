import { beforeEach, describe, expect, it } from 'vitest';
import { operatorName } from '../../../src/operator.js';
import { createDatabase, describeWith } from '../../harness/index.js';
import { CONNECTION, eventRecord, OTHER } from '../../components/pipeline/events.js';
import { VerifyWorld, type ConsoleName } from '../../components/operations/verify-worlds.js';

const STRANGER = '99999999-0000-4000-8000-000000000009';

function verifying(name: ConsoleName, openDatabase?: () => Promise<string>): void {
  let world: VerifyWorld;
  const one = (): string => world.id('one');
  beforeEach(async () => {
    const more = openDatabase === undefined ? {} : { DATABASE_URL: await openDatabase() };
    world = await VerifyWorld.open(name, more);
    await world.bench.handle(eventRecord({ name: 'one', password: 'MARK-one', at: 1 }));
    await world.bench.handle(eventRecord({ id: OTHER, name: 'two', password: 'MARK-two', at: 1 }));
  });

  it('finds nothing if all is well, whatever else is in the account', async () => {
    await world.console.create(`/${world.cluster}-other/database/x/password`, 'x', CONNECTION);
    await world.console.create(world.id('of-a-stranger'), 'x', STRANGER);
    await world.console.create(world.id('of-nobody'), 'x', null);
    const { code, answer, stderr } = await world.verify();
    expect({ code, findings: answer?.findings }, stderr).toEqual({ code: 0, findings: [] });
    expect(answer).toMatchObject({
      ok: true,
      checked: { connections: 2, secrets: 2, external: 0, listed: 3 },
      skipped: { busy: 0, inDoubt: 0, unknownConnections: 1, otherInstallations: 0 },
    });
    expect(await world.verify('--repair')).toMatchObject({ code: 0 });
    expect(await world.console.owner(world.id('of-a-stranger'))).toBe(STRANGER);
    expect(await world.console.owner(world.id('of-nobody'))).toBeNull();
  });

  it('changed in the store: --repair leaves it, --restore makes the recorded version current again', async () => {
    await world.console.change(one(), 'MARK-theirs');
    const found = await world.verify();
    expect(found).toMatchObject({ code: 1, kinds: ['changed: open'] });
    expect(found.answer?.findings[0]).toMatchObject({ connectionId: CONNECTION, secretId: one() });
    // It may be a rotation: undoing it would lock everybody out.
    expect(await world.verify('--repair')).toMatchObject({ code: 1, kinds: ['changed: open'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-theirs');
    expect(await world.verify('--restore')).toMatchObject({ code: 0, kinds: ['changed: repaired'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-one');
    expect(await world.bench.query(`SELECT secret_id, actor FROM audit WHERE action = 'repair'`)).toEqual([
      { secret_id: one(), actor: operatorName({ audit: { actor: null } }) },
    ]);
    // Of one alone: moto's answers for many go by the version that was written last, not by the label.
    expect(await world.verify('--connection', CONNECTION)).toMatchObject({ code: 0, kinds: [] });
  });

  it('rotated in the store: --accept makes that value the newest and tells readers', async () => {
    const revision = async () =>
      (await world.bench.query(`SELECT revision, operation FROM connection WHERE id = '${CONNECTION}'`))[0];
    await world.console.change(one(), 'MARK-rotated');
    expect(await world.verify('--accept')).toMatchObject({ code: 0, kinds: ['changed: repaired'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-rotated');
    expect(await revision()).toEqual({ revision: 2, operation: 'rotated' });
    expect(await world.bench.query(`SELECT secret_id, actor FROM audit WHERE action = 'accept'`)).toEqual([
      { secret_id: one(), actor: operatorName({ audit: { actor: null } }) },
    ]);
    await world.bench.worker.relay.run(new AbortController().signal);
    const sent = world.bench.topics.secured.filter(({ connectionId }) => connectionId === CONNECTION);
    expect(sent.at(-1)).toMatchObject({ revision: 2, operation: 'rotated' });
    // The value is known: sent again it needs no write, and a mask keeps it.
    const written = world.bench.puts.length;
    await world.bench.handle(eventRecord({ name: 'one', password: 'MARK-rotated', at: 5 }));
    await world.bench.handle(eventRecord({ name: 'one', password: '*********', at: 6 }));
    expect(world.bench.puts.slice(written)).toEqual([]);
    expect(await world.verify('--connection', CONNECTION)).toMatchObject({ code: 0, kinds: [] });
  });

  it('our value written again by somebody: --repair is enough', async () => {
    await world.console.change(one(), 'MARK-one');
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['version: open'] });
    expect(await world.verify('--repair')).toMatchObject({ code: 0, kinds: ['version: repaired'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-one');
  });

  it('made anew by hand with another value and no tags: --accept accepts it and adds the tags', async () => {
    await world.console.remove(one());
    await world.console.create(one(), 'MARK-by-hand', null);
    expect((await world.verify('--repair')).code).toBe(1);
    expect(await world.bench.valueOf(one())).toBe('MARK-by-hand');
    expect((await world.verify('--accept')).kinds.filter((kind) => !kind.startsWith('tags'))).toEqual([
      expect.stringMatching(/^(changed|replaced): repaired$/),
    ]);
    expect(await world.console.owner(one())).toBe(CONNECTION);
    expect(await world.bench.valueOf(one())).toBe('MARK-by-hand');
    expect(await world.verify('--connection', CONNECTION)).toMatchObject({ code: 0, kinds: [] });
  });

  it('changed, and tagged for another connection: --accept refuses it', async () => {
    await world.console.change(one(), 'MARK-theirs');
    await world.console.tag(one(), OTHER);
    const { kinds } = await world.verify('--accept');
    expect(kinds).toContain('changed: left');
    expect(await world.console.owner(one())).toBe(OTHER);
  });

  it('changed, and its row altered: --accept leaves it altered', async () => {
    await world.console.change(one(), 'MARK-theirs');
    await world.bench.change(
      `UPDATE secret_reference SET fingerprint = NULL WHERE connection_id = '${CONNECTION}'`,
    );
    const { kinds } = await world.verify('--accept');
    expect([...kinds].sort()).toEqual(['altered: open', 'changed: left']);
    expect((await world.verify()).kinds).toContain('altered: open');
  });

  it('missing: recorded as lost, and fine again once it is published with its value', async () => {
    await world.console.remove(one());
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['missing: open'] });
    expect(await world.bench.kept()).toEqual([]);
    expect(await world.verify('--repair')).toMatchObject({
      ...{ code: 1, kinds: ['missing: lost'] },
      answer: { deadLetters: [{ code: 'SECRET_VERSION_GONE', connectionId: CONNECTION }] },
    });
    expect(await world.bench.kept()).toEqual([{ state: 'dead', code: 'SECRET_VERSION_GONE' }]);
    await world.bench.handle(eventRecord({ name: 'one', password: 'MARK-new', at: 5 }));
    await world.bench.endDoubt();
    await world.bench.tidy();
    expect(await world.verify()).toMatchObject({ code: 0, kinds: [] });
    expect(await world.bench.valueOf(one())).toBe('MARK-new');
  });

  it.each([null, STRANGER])('tags that are %s are put back, and the value stays', async (owner) => {
    await world.console.tag(one(), owner);
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['tags: open'] });
    expect(await world.verify('--repair')).toMatchObject({ code: 0, kinds: ['tags: repaired'] });
    expect(await world.console.owner(one())).toBe(CONNECTION);
    expect(await world.bench.valueOf(one())).toBe('MARK-one');
  });

  it('a secret without tags and with another value is no longer ours, and is not touched', async () => {
    await world.console.tag(one(), null);
    await world.console.change(one(), 'MARK-theirs');
    expect((await world.verify()).kinds.sort()).toEqual(['changed: open', 'tags: open']);
    const { code, kinds } = await world.verify('--repair', '--restore');
    expect({ code, kinds: kinds.sort() }).toEqual({ code: 1, kinds: ['changed: lost', 'tags: left'] });
    expect(await world.bench.valueOf(one())).toBe('MARK-theirs');
    expect(await world.console.owner(one())).toBeNull();
  });

  it('an orphan that was once recorded is retired, any other is only reported', async () => {
    await world.console.create(world.id('never'), 'x', CONNECTION);
    await world.console.create(world.id('once'), 'x', CONNECTION);
    await world.bench.change(
      `INSERT INTO audit (id, at_ms, action, connection_id, secret_id) VALUES ('a1', 1, 'create', '${CONNECTION}', '${world.id('once')}')`,
    );
    const { code, answer } = await world.verify();
    expect(code).toBe(1);
    expect(answer?.findings.map(({ kind, secretId }) => [kind, secretId]).sort()).toEqual([
      ['orphan', world.id('never')],
      ['orphan', world.id('once')],
    ]);
    expect((await world.verify('--repair')).kinds.sort()).toEqual(['orphan: open', 'orphan: repaired']);
    expect(await world.bench.stored()).toMatchObject({ [world.id('once')]: 'retired' });
    expect((await world.bench.stored())[world.id('never')]).toBeUndefined();
    await world.bench.endGrace();
    expect(await world.bench.tidy()).toMatchObject({ deleted: 1 });
    expect(await world.bench.valueOf(world.id('once'))).toBeNull();
    expect(await world.bench.valueOf(world.id('never'))).toBe('x');
    expect(await world.verify()).toMatchObject({ code: 1, kinds: ['orphan: open'] });
  });
}

describe('verify on the local vault', () => {
  verifying('local');
});
describe('verify on the stand-in of Secrets Manager', () => {
  verifying('Secrets Manager, the stand-in');
});
describe('verify on the stand-in of Parameter Store', () => {
  verifying('Parameter Store, the stand-in');
});
describeWith(['moto'], 'verify on moto’s Secrets Manager', () => {
  verifying('Secrets Manager, moto');
});
describeWith(['moto'], 'verify on moto’s Parameter Store', () => {
  verifying('Parameter Store, moto');
});
describeWith(['postgres'], 'verify with PostgreSQL', () => {
  verifying('local', async () => (await createDatabase('postgres')).url);
});
describeWith(['mariadb'], 'verify with MariaDB', () => {
  verifying('local', async () => (await createDatabase('mariadb')).url);
});
