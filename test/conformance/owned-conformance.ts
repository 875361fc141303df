import { expect, it } from 'vitest';
import type { ListedSecret, OwnedSecrets } from '../../src/secrets-managers/port.js';
import {
  CONNECTION,
  deleteOne,
  errorOf,
  freshId,
  OTHER_CONNECTION,
  putItem,
  putOne,
  reference,
  storeCall,
  textOf,
  valueOf,
  type Fixture,
} from './fixture.js';

function ownedOf(given: () => Fixture): OwnedSecrets {
  const { owned } = given().manager.store;
  if (owned === null) throw new Error('a store that keeps secrets lists them');
  return owned;
}

async function listAll(given: () => Fixture, prefix: string): Promise<ListedSecret[]> {
  const call = storeCall();
  const found: ListedSecret[] = [];
  for (let after: string | null | undefined = null; after !== undefined;) {
    const page: { secrets: readonly ListedSecret[]; next: string | null } = valueOf(
      await ownedOf(given).list(prefix, after, call),
    );
    found.push(...page.secrets);
    after = page.next ?? undefined;
  }
  expect(call.admitted()).toBe(0);
  return found.sort((left, right) => (left.secretId < right.secretId ? -1 : 1));
}

/** What is ours in the store, and whose. */
export function describeOwned(given: () => Fixture): void {
  it('lists what carries our tags below a prefix, page by page, and nothing else', async () => {
    const folder = `${freshId().replace(/[/]password$/, '')}/`;
    const ids = Array.from({ length: 12 }, (_, index) => `${folder}f${String(index).padStart(3, '0')}`);
    for (const [index, id] of ids.entries())
      await putOne(
        given(),
        putItem(id, 'x', { connectionId: index % 2 === 0 ? CONNECTION : OTHER_CONNECTION }),
      );
    await given().placeUnowned(`${folder}theirs`, 'theirs');
    // Begins with the same characters, and is in another folder.
    await putOne(given(), putItem(`${folder.slice(0, -1)}x/password`, 'x'));
    expect(await listAll(given, folder)).toEqual(
      ids.map((secretId, index) => ({
        secretId,
        ownedBy: index % 2 === 0 ? CONNECTION : OTHER_CONNECTION,
        installation: 'ours',
        scheduledForDeletion: false,
      })),
    );
    expect(await listAll(given, `${folder}none/`)).toEqual([]);
  });

  it('lists what is scheduled for deletion as such, and what is deleted not at all', async () => {
    const id = freshId();
    await putOne(given(), putItem(id, 'x'));
    await deleteOne(given(), id);
    const listed = await listAll(given, id.replace(/password$/, ''));
    expect(listed).toEqual(
      given().manager.capabilities.softDelete
        ? [{ secretId: id, ownedBy: CONNECTION, installation: 'ours', scheduledForDeletion: true }]
        : [],
    );
  });

  it('puts our tags on what has none, or another connection’s; the value and its version stay', async () => {
    const [bare, other] = [freshId(), freshId()];
    await given().placeUnowned(bare, 'theirs');
    await putOne(given(), putItem(other, 'theirs', { connectionId: OTHER_CONNECTION }));
    for (const id of [bare, other]) {
      const before = valueOf(await given().manager.store.describe(reference(id), storeCall()));
      const call = storeCall();
      const item = { reference: reference(id), connectionId: CONNECTION };
      expect(valueOf(await ownedOf(given).tag(item, call))).toBe('tagged');
      expect(call.admitted()).toBe(1);
      const after = valueOf(await given().manager.store.describe(reference(id), storeCall()));
      expect(after).toEqual({ ...before, ownedBy: CONNECTION, installation: 'ours' });
      expect(await textOf(given(), id)).toBe('theirs');
    }
    const missing = { reference: reference(freshId()), connectionId: CONNECTION };
    expect(errorOf(await ownedOf(given).tag(missing, storeCall())).class).toBe('not-found');
  });
}
