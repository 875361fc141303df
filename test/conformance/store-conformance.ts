import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CONNECTION,
  errorOf,
  freshId,
  freshToken,
  ODD_VALUES,
  putItem,
  putOne,
  reference,
  storeCall,
  textOf,
  valueOf,
  type Fixture,
} from './fixture.js';
import { describeInstallations } from './installation-conformance.js';
import { describeOwned } from './owned-conformance.js';
import { describeDeletion, describeOwnership } from './ownership-conformance.js';

/** What every store that keeps values promises: run for each provider, on every server there is. */
export function describeStore(title: string, open: () => Promise<Fixture>): void {
  describe(title, () => {
    let fixture: Fixture;
    beforeAll(async () => {
      fixture = await open();
    });
    afterAll(async () => {
      await fixture.close();
    });
    const given = (): Fixture => fixture;
    describeValues(given);
    describeVersions(given);
    describeMany(given);
    describeOwnership(given);
    describeInstallations(given);
    describeDeletion(given);
    describeOwned(given);
    describeAdmission(given);
  });
}

function describeValues(given: () => Fixture): void {
  it.each(ODD_VALUES)('gives back exactly what it took: %s', async (_name, value) => {
    const id = freshId();
    const stored = await putOne(given(), putItem(id, value));
    expect(stored).toMatchObject({ reference: reference(id), effect: 'created' });
    expect(await textOf(given(), id)).toBe(value);
  });

  it('takes a value of the largest size to the byte, and refuses one byte more without asking', async () => {
    const { limits, store } = given().manager;
    const id = freshId();
    // Two-byte characters: counting characters instead of bytes would pass too much.
    const largest = 'é'.repeat(Math.floor(limits.maxValueBytes / 2));
    expect(Buffer.byteLength(largest)).toBe(limits.maxValueBytes);
    await putOne(given(), putItem(id, largest));
    expect(await textOf(given(), id)).toBe(largest);
    const call = storeCall();
    const [refused] = await store.put([putItem(freshId(), `${largest}x`)], call);
    expect(errorOf(refused)).toMatchObject({ class: 'invalid', applied: 'no' });
    expect(call.admitted()).toBe(0);
  });

  it.each([
    ['an empty value', () => ''],
    ['half a character', () => 'a\ud800b'],
  ])('refuses %s without asking', async (_name, make) => {
    const call = storeCall();
    const [refused] = await given().manager.store.put([putItem(freshId(), make())], call);
    expect(errorOf(refused).class).toBe('invalid');
    expect(call.admitted()).toBe(0);
  });

  it('takes an id of the largest length and refuses a longer one without asking', async () => {
    const { limits, store } = given().manager;
    const id = freshId().padEnd(limits.maxIdLength, 'x');
    await putOne(given(), putItem(id, 'long'));
    expect(await textOf(given(), id)).toBe('long');
    const call = storeCall();
    const [refused] = await store.put([putItem(`${id}x`, 'too long')], call);
    expect(errorOf(refused).class).toBe('invalid');
    expect(call.admitted()).toBe(0);
  });

  it('shows no value in a result or an error', async () => {
    const { store, limits } = given().manager;
    const marker = 'MARKER-7d1f';
    const id = freshId();
    const results = [
      await store.put([putItem(id, marker)], storeCall()),
      await store.put([putItem(freshId(), marker + 'x'.repeat(limits.maxValueBytes))], storeCall()),
      await store.get([{ reference: reference(id) }], storeCall()),
    ];
    expect(JSON.stringify(results)).not.toContain(marker);
  });
}

function describeVersions(given: () => Fixture): void {
  it('gives every change a version of its own, and old versions back', async () => {
    const id = freshId();
    const first = await putOne(given(), putItem(id, 'one'));
    const second = await putOne(given(), putItem(id, 'two', { known: true }));
    expect(second.effect).toBe('changed');
    expect(second.version).not.toBe(first.version);
    expect(await textOf(given(), id)).toBe('two');
    expect(await textOf(given(), id, first.version)).toBe('one');
    expect(await textOf(given(), id, second.version)).toBe('two');
    const [current] = await given().manager.store.get([{ reference: reference(id) }], storeCall());
    expect(valueOf(current).version).toBe(second.version);
  });

  it('makes a recorded version the current one again', async () => {
    const id = freshId();
    const recorded = await putOne(given(), putItem(id, 'recorded'));
    await putOne(given(), putItem(id, 'late', { known: true }));
    const item = {
      reference: reference(id),
      connectionId: CONNECTION,
      version: recorded.version,
      requestKey: freshToken(),
    };
    const restored = valueOf(await given().manager.store.restore(item, storeCall()));
    if (given().restoresSameVersion) expect(restored.version).toBe(recorded.version);
    expect(await textOf(given(), id)).toBe('recorded');
    const described = valueOf(await given().manager.store.describe(reference(id), storeCall()));
    expect(described).toEqual({
      version: restored.version,
      ownedBy: CONNECTION,
      installation: 'ours',
      scheduledForDeletion: false,
    });
    // Again: what is current already stays as it is.
    const again = { ...item, version: restored.version };
    expect(valueOf(await given().manager.store.restore(again, storeCall()))).toEqual(restored);
  });

  it('says which is gone, the version or the secret', async () => {
    const { store } = given().manager;
    const id = freshId();
    const first = await putOne(given(), putItem(id, 'one'));
    const missing = first.version.length > 20 ? freshToken() : '987654321';
    const results = await store.get(
      [
        { reference: reference(id), version: missing },
        { reference: reference(freshId()), version: missing },
      ],
      storeCall(),
    );
    expect(results.map((result) => errorOf(result).code)).toEqual([
      'SECRET_VERSION_GONE',
      'SECRET_NOT_FOUND',
    ]);
    const base = { connectionId: CONNECTION, version: missing, requestKey: freshToken() };
    const restored = await store.restore({ ...base, reference: reference(id) }, storeCall());
    expect(errorOf(restored).code).toBe('SECRET_VERSION_GONE');
    const absent = await store.restore({ ...base, reference: reference(freshId()) }, storeCall());
    expect(errorOf(absent).code).toBe('SECRET_NOT_FOUND');
    expect(await textOf(given(), id)).toBe('one');
  });

  it('takes a repeated request key for the same write', async ({ skip }) => {
    skip(!given().manager.capabilities.requestKeys, 'the store knows no such keys');
    const id = freshId();
    const requestKey = freshToken();
    const first = await putOne(given(), putItem(id, 'one', { requestKey }));
    const repeatedNew = await putOne(given(), putItem(id, 'one', { requestKey }));
    expect(repeatedNew.version).toBe(first.version);
    const later = await putOne(given(), putItem(id, 'two', { known: true }));
    const repeated = await putOne(given(), putItem(id, 'one', { requestKey, known: true }));
    expect(repeated.version).toBe(first.version);
    // The no-op leaves the newer value current: the reason why a token contains the claim's epoch.
    expect(await textOf(given(), id)).toBe('two');
    const other = putItem(id, 'three', {
      requestKey: later.version.length > 20 ? later.version : requestKey,
      known: true,
    });
    const [conflict] = await given().manager.store.put([other], storeCall());
    expect(errorOf(conflict)).toMatchObject({ class: 'conflict', applied: 'no' });
  });

  it('creates a known secret that is gone', async () => {
    const id = freshId();
    const stored = await putOne(given(), putItem(id, 'again', { known: true }));
    expect(stored.effect).toBe('created');
    const described = valueOf(await given().manager.store.describe(reference(id), storeCall()));
    expect(described.ownedBy).toBe(CONNECTION);
  });
}

function describeMany(given: () => Fixture): void {
  it('keeps length and order for 45 ids, found, missing and asked for twice', async () => {
    const { store } = given().manager;
    const ids = Array.from({ length: 45 }, () => freshId());
    const present = ids.filter((_id, index) => index % 3 !== 0);
    const stored = await store.put(
      present.map((id) => putItem(id, `value of ${id}`)),
      storeCall(),
    );
    expect(stored.map((result) => valueOf(result).reference)).toEqual(present.map(reference));
    const wanted = [...ids, ids[1], ids[0], ids[1]].filter((id) => id !== undefined);
    const results = await store.get(
      wanted.map((id) => ({ reference: reference(id) })),
      storeCall(),
    );
    const told = results.map((result) => (result.ok ? result.value.value.reveal() : result.error.class));
    expect(told).toEqual(wanted.map((id) => (present.includes(id) ? `value of ${id}` : 'not-found')));
  });

  it('gives current and old versions of one secret in one call', async () => {
    const id = freshId();
    const first = await putOne(given(), putItem(id, 'one'));
    const second = await putOne(given(), putItem(id, 'two', { known: true }));
    const wanted = [first.version, undefined, second.version, first.version];
    const results = await given().manager.store.get(
      wanted.map((version) => ({ reference: reference(id), ...(version === undefined ? {} : { version }) })),
      storeCall(),
    );
    expect(results.map((result) => valueOf(result).value.reveal())).toEqual(['one', 'two', 'two', 'one']);
  });

  it('says of each item of a call what became of it', async () => {
    const { store, limits } = given().manager;
    const [good, long, foreign] = [freshId(), freshId(), freshId()];
    await given().placeUnowned(foreign, 'theirs');
    const results = await store.put(
      [putItem(long, 'x'.repeat(limits.maxValueBytes + 1)), putItem(good, 'good'), putItem(foreign, 'ours')],
      storeCall(),
    );
    expect(results.map((result) => (result.ok ? 'ok' : result.error.class))).toEqual([
      'invalid',
      'ok',
      'conflict',
    ]);
    expect(await store.get([], storeCall())).toEqual([]);
    expect(await store.put([], storeCall())).toEqual([]);
  });

  it('takes no sealed value for a name', async () => {
    const { store } = given().manager;
    const [result] = await store.get([{ reference: 'fernet:gAAAAAB-sealed' }], storeCall());
    expect(errorOf(result).class).toBe('invalid');
    expect(errorOf(result).message).not.toContain('gAAAAAB');
  });
}

function describeAdmission(given: () => Fixture): void {
  it('asks before every write and writes nothing that is not admitted', async () => {
    const { store } = given().manager;
    const id = freshId();
    const first = await putOne(given(), putItem(id, 'one'));
    const lost = new Error('the claim ran out');
    const call = () =>
      storeCall({
        admit: () => {
          throw lost;
        },
      });
    const named = { reference: reference(id), connectionId: CONNECTION, isCommitted: true };
    const absent = freshId();
    await expect(store.put([putItem(id, 'two', { known: true })], call())).rejects.toBe(lost);
    await expect(store.put([putItem(absent, 'new')], call())).rejects.toBe(lost);
    await expect(store.delete([named], call())).rejects.toBe(lost);
    expect(await textOf(given(), id)).toBe('one');
    const [missing] = await store.get([{ reference: reference(absent) }], storeCall());
    expect(errorOf(missing).class).toBe('not-found');
    await putOne(given(), putItem(id, 'two', { known: true }));
    const restore = { ...named, version: first.version, requestKey: freshToken() };
    await expect(store.restore(restore, call())).rejects.toBe(lost);
    expect(await textOf(given(), id)).toBe('two');
  });

  it('begins nothing further once an admission is refused', async () => {
    const ids = Array.from({ length: 30 }, () => freshId());
    const call = storeCall({
      admit: (count) => {
        if (count > 10) throw new Error('the claim ran out');
      },
    });
    const items = ids.map((id) => putItem(id, 'v'));
    await expect(given().manager.store.put(items, call)).rejects.toThrow('the claim ran out');
    const results = await given().manager.store.get(
      ids.map((id) => ({ reference: reference(id) })),
      storeCall(),
    );
    const written = results.filter((result) => result.ok).length;
    expect(written).toBeLessThanOrEqual(10);
    // A value whose tags were not admitted is there all the same.
    expect(written).toBeGreaterThanOrEqual(10 / (given().writesANewSecret ?? 1));
  });

  it('does nothing for a caller that has given up', async () => {
    const { store } = given().manager;
    const id = freshId();
    await putOne(given(), putItem(id, 'one'));
    const call = storeCall({ signal: AbortSignal.abort() });
    const [put] = await store.put([putItem(id, 'two', { known: true })], call);
    const [got] = await store.get([{ reference: reference(id) }], call);
    const [deleted] = await store.delete(
      [{ reference: reference(id), connectionId: CONNECTION, isCommitted: true }],
      call,
    );
    const described = await store.describe(reference(id), call);
    for (const result of [put, got, deleted, described]) {
      expect(errorOf<unknown>(result)).toMatchObject({ class: 'transient', applied: 'no' });
    }
    expect(call.admitted()).toBe(0);
    expect(await textOf(given(), id)).toBe('one');
  });

  it('says that it can be reached, without writing', async () => {
    const call = storeCall();
    expect(valueOf(await given().manager.store.check(call)).detail).not.toBe('');
    expect(call.admitted()).toBe(0);
  });
}
