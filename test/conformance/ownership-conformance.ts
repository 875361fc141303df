import { expect, it } from 'vitest';
import {
  CONNECTION,
  deleteOne,
  errorOf,
  freshId,
  freshToken,
  OTHER_CONNECTION,
  putItem,
  putOne,
  reference,
  storeCall,
  textOf,
  valueOf,
  type Fixture,
} from './fixture.js';

/** Whose secret it is decides who may write and delete it. */
export function describeOwnership(given: () => Fixture): void {
  it('does not touch a secret that is not ours', async () => {
    const id = freshId();
    await given().placeUnowned(id, 'theirs');
    const [refused] = await given().manager.store.put([putItem(id, 'ours')], storeCall());
    expect(errorOf(refused)).toMatchObject({ class: 'conflict', code: 'SECRET_NOT_OWNED', applied: 'no' });
    expect(errorOf(await deleteOne(given(), id)).code).toBe('SECRET_NOT_OWNED');
    expect(await textOf(given(), id)).toBe('theirs');
    const described = valueOf(await given().manager.store.describe(reference(id), storeCall()));
    expect(described.ownedBy).toBeNull();
  });

  it('adopts it where that is allowed', async () => {
    const id = freshId();
    await given().placeUnowned(id, 'theirs');
    const stored = await putOne(given(), putItem(id, 'ours', { adopt: true }));
    expect(stored.effect).toBe('adopted');
    expect(await textOf(given(), id)).toBe('ours');
    const described = valueOf(await given().manager.store.describe(reference(id), storeCall()));
    expect(described).toMatchObject({ ownedBy: CONNECTION, version: stored.version });
  });

  it('keeps what it has adopted until a value of ours is committed, also once its tags are written again', async () => {
    const id = freshId();
    await given().placeUnowned(id, 'theirs');
    await putOne(given(), putItem(id, 'ours', { adopt: true }));
    await putOne(given(), putItem(id, 'ours again', { known: true }));
    const { store } = given().manager;
    const item = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
    const [kept] = await store.delete([{ ...item, isCommitted: false }], storeCall());
    expect(errorOf(kept)).toMatchObject({ class: 'conflict', code: 'SECRET_NOT_OWNED' });
    expect(await textOf(given(), id)).toBe('ours again');
    expect(valueOf((await store.delete([item], storeCall()))[0])).toBe('deleted');
  });

  it('deletes what it has created, committed or not', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'ours'));
    const item = { reference: reference(id), connectionId: CONNECTION, isCommitted: false };
    expect(valueOf((await given().manager.store.delete([item], storeCall()))[0])).toBe('deleted');
  });

  it('does not touch a secret of another connection of ours, also when adopting', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'first', { connectionId: OTHER_CONNECTION }));
    const [refused] = await given().manager.store.put([putItem(id, 'second', { adopt: true })], storeCall());
    expect(errorOf(refused)).toMatchObject({ class: 'conflict', code: 'SECRET_NOT_OWNED' });
    const deleted = await deleteOne(given(), id);
    expect(errorOf(deleted)).toMatchObject({ class: 'conflict', code: 'SECRET_NOT_OWNED' });
    expect(await textOf(given(), id)).toBe('first');
  });

  it('takes over the secret of a connection that was named, and of no other', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'first', { connectionId: OTHER_CONNECTION }));
    const { store } = given().manager;
    const wrong = putItem(id, 'second', { takeOverFrom: '11111111-2222-4333-8444-555555555555' });
    expect(errorOf((await store.put([wrong], storeCall()))[0]).code).toBe('SECRET_NOT_OWNED');
    const stored = await putOne(given(), putItem(id, 'second', { takeOverFrom: OTHER_CONNECTION }));
    expect(stored.effect).toBe('adopted');
    const described = valueOf(await store.describe(reference(id), storeCall()));
    expect(described.ownedBy).toBe(CONNECTION);
    expect(errorOf(await deleteOne(given(), id, OTHER_CONNECTION)).code).toBe('SECRET_NOT_OWNED');
    expect(await textOf(given(), id)).toBe('second');
  });

  it('restores nothing that belongs to another connection', async () => {
    const id = freshId();
    const first = await putOne(given(), putItem(id, 'first', { connectionId: OTHER_CONNECTION }));
    await putOne(given(), putItem(id, 'second', { connectionId: OTHER_CONNECTION, known: true }));
    const refused = await given().manager.store.restore(
      {
        reference: reference(id),
        connectionId: CONNECTION,
        version: first.version,
        requestKey: freshToken(),
      },
      storeCall(),
    );
    expect(errorOf(refused).code).toBe('SECRET_NOT_OWNED');
    expect(await textOf(given(), id)).toBe('second');
  });

  it('changes a new secret that turns out to be ours already', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'one'));
    const stored = await putOne(given(), putItem(id, 'two'));
    expect(stored.effect).toBe('changed');
    expect(await textOf(given(), id)).toBe('two');
  });
}

/** Deleting what is ours, and needing it again. */
export function describeDeletion(given: () => Fixture): void {
  it('deletes what is ours: then it is not found, and deleting again is no failure', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'one'));
    expect(valueOf(await deleteOne(given(), id))).toBe('deleted');
    const [gone] = await given().manager.store.get([{ reference: reference(id) }], storeCall());
    expect(errorOf(gone)).toMatchObject({ class: 'not-found', code: 'SECRET_NOT_FOUND' });
    expect(valueOf(await deleteOne(given(), id))).toBe(
      given().manager.capabilities.softDelete ? 'deleted' : 'absent',
    );
    expect(valueOf(await deleteOne(given(), freshId()))).toBe('absent');
  });

  it.each([false, true])('writes a deleted secret that is needed again (known: %s)', async (known) => {
    if (known && given().isLaxOnScheduled === true) return;
    const id = freshId();
    await putOne(given(), putItem(id, 'one'));
    await deleteOne(given(), id);
    const stored = await putOne(given(), putItem(id, 'two', { known }));
    expect(stored.effect).toBe(given().manager.capabilities.softDelete ? 'restored' : 'created');
    expect(await textOf(given(), id)).toBe('two');
    const described = valueOf(await given().manager.store.describe(reference(id), storeCall()));
    expect(described).toMatchObject({ ownedBy: CONNECTION, scheduledForDeletion: false });
  });

  it('brings back nothing that another connection has deleted', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'one', { connectionId: OTHER_CONNECTION }));
    await deleteOne(given(), id, OTHER_CONNECTION);
    const [result] = await given().manager.store.put([putItem(id, 'two', { adopt: true })], storeCall());
    if (given().manager.capabilities.softDelete) expect(errorOf(result).code).toBe('SECRET_NOT_OWNED');
    else expect(valueOf(result).effect).toBe('created');
  });
}
