import { expect, it } from 'vitest';
import { TEST_INSTALLATION } from '../harness/ownership.js';
import {
  CONNECTION,
  deleteOne,
  errorOf,
  freshId,
  freshToken,
  OTHER_CONNECTION,
  OTHER_INSTALLATION,
  putItem,
  putOne,
  reference,
  storeCall,
  textOf,
  valueOf,
  type Fixture,
} from './fixture.js';

const SAME = { connectionId: CONNECTION, installation: TEST_INSTALLATION.id };
const THEIRS = { connectionId: CONNECTION, installation: OTHER_INSTALLATION.id };
const EARLY = { connectionId: CONNECTION, installation: null };

/** Several installations of this program may share a store: a copy of the database has the same connections. */
export function describeInstallations(given: () => Fixture): void {
  it('names the installation in what it creates', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'one'));
    expect(await given().ownerOf(id)).toEqual(SAME);
  });

  it.each([
    ['new', {}],
    ['adopted', { adopt: true }],
    ['taken over', { takeOverFrom: OTHER_CONNECTION, connectionId: CONNECTION, adopt: true }],
  ])('leaves alone what another installation has under this name: %s', async (_name, more) => {
    const id = freshId();
    await given().placeOwned(id, 'theirs', THEIRS);
    const { store } = given().manager;
    const before = valueOf(await store.describe(reference(id), storeCall()));
    expect(before).toMatchObject({ ownedBy: null, installation: 'another' });
    const [put] = await store.put([putItem(id, 'ours', more)], storeCall());
    const item = { reference: reference(id), connectionId: CONNECTION };
    const restored = await store.restore(
      { ...item, version: before.version, requestKey: freshToken() },
      storeCall(),
    );
    const tagged = await store.owned?.tag(item, storeCall());
    const deleted = await deleteOne(given(), id);
    for (const result of [put, restored, tagged, deleted]) {
      expect(errorOf<unknown>(result)).toMatchObject({ class: 'conflict', code: 'SECRET_NOT_OWNED' });
      expect(errorOf<unknown>(result).message).toContain('another installation');
    }
    expect(await textOf(given(), id)).toBe('theirs');
    expect(await given().ownerOf(id)).toEqual(THEIRS);
    expect(valueOf(await store.describe(reference(id), storeCall()))).toEqual(before);
    const listed = valueOf(await store.owned?.list(id, null, storeCall()));
    expect(listed.secrets.every(({ ownedBy }) => ownedBy === null)).toBe(true);
  });

  it.each(['new', 'known'])(
    'tags what version 0.1 made when it is written next: %s to the database',
    async (way) => {
      const id = freshId();
      await given().placeOwned(id, 'early', EARLY);
      const store = await given().as({ ...TEST_INSTALLATION, tagged: 'some' });
      expect(valueOf(await store.describe(reference(id), storeCall()))).toMatchObject({
        ownedBy: CONNECTION,
        installation: 'missing',
      });
      const item = putItem(id, 'later', { known: way === 'known' });
      expect(valueOf((await store.put([item], storeCall()))[0]).effect).toBe('changed');
      expect(await textOf(given(), id)).toBe('later');
      expect(await given().ownerOf(id)).toEqual(SAME);
    },
  );

  it('leaves alone what version 0.1 made for another connection', async () => {
    const id = freshId();
    await given().placeOwned(id, 'early', { ...EARLY, connectionId: OTHER_CONNECTION });
    const store = await given().as({ ...TEST_INSTALLATION, tagged: 'some' });
    const [put] = await store.put([putItem(id, 'ours', { known: true, adopt: true })], storeCall());
    expect(errorOf(put).code).toBe('SECRET_NOT_OWNED');
    expect(await textOf(given(), id)).toBe('early');
  });

  it.each([THEIRS, EARLY])(
    'lets a copy write and delete nothing of the original, also what it believes to know: %o',
    async (owner) => {
      const id = freshId();
      await given().placeOwned(id, 'theirs', owner);
      const store = await given().as({ ...TEST_INSTALLATION, tagged: 'own' });
      for (const known of [true, false]) {
        const [put] = await store.put([putItem(id, 'mine', { known, adopt: true })], storeCall());
        expect(errorOf(put).code).toBe('SECRET_NOT_OWNED');
      }
      const [deleted] = await store.delete(
        [{ reference: reference(id), connectionId: CONNECTION, isCommitted: true }],
        storeCall(),
      );
      expect(errorOf(deleted).code).toBe('SECRET_NOT_OWNED');
      expect(await textOf(given(), id)).toBe('theirs');
      expect(await given().ownerOf(id)).toEqual(owner);
    },
  );

  it('creates only what is not there where that is asked for, and writes its own again where it is not', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'one', { createOnly: true }));
    const [again] = await given().manager.store.put([putItem(id, 'two', { createOnly: true })], storeCall());
    expect(errorOf(again).code).toBe('SECRET_NOT_OWNED');
    expect(await textOf(given(), id)).toBe('one');
    expect((await putOne(given(), putItem(id, 'two'))).effect).toBe('changed');
    await deleteOne(given(), id);
    await putOne(given(), putItem(id, 'three', { createOnly: true }));
    expect(await textOf(given(), id)).toBe('three');
  });
}
