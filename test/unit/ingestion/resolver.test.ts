import { inspect } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { generateKey, KeyRing, sealText } from '../../../src/fernet/index.js';
import { failure, type StoreErrorClass } from '../../../src/secrets-managers/port.js';
import {
  createResolver,
  NotAReferenceError,
  reveal,
  SealedReferenceError,
  SecretAccessError,
  SecretNotFoundError,
  SecretStoreUnavailableError,
  SecretUnreadableError,
} from '../../../src/ingestion/index.js';
import type {
  Resolver,
  ResolverOptions,
  SecretValue,
  UnresolvedReferenceError,
} from '../../../src/ingestion/index.js';
import { waitFor } from '../../harness/index.js';
import { FakeReader, securedEvent } from './support.js';

const REFERENCE = 'secret:/openmetadata/database/mysql-test/password';
const key = generateKey();
const ring = KeyRing.parse('KEY', key);
let reader: FakeReader;

beforeEach(() => {
  reader = new FakeReader();
  reader.values.set(REFERENCE, 'first-value');
});

function resolver(options: Partial<ResolverOptions> = {}): Resolver {
  return createResolver({
    readers: { test: reader },
    defaultStore: { provider: 'test' },
    fernetKeys: key,
    ...options,
  });
}

const errorOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

describe('resolving references', () => {
  it('asks once for what many want at the same time, all of it in one call', async () => {
    for (const at of Array.from({ length: 45 }, (_, index) => index))
      reader.values.set(`secret:/x/${at}`, `v${at}`);
    const all = [...reader.values.keys()];
    const one = resolver();
    const twice = await Promise.all([one.resolveAll(all), one.resolveAll([...all].reverse())]);
    expect(reader.calls).toHaveLength(1);
    expect(reader.calls[0]).toHaveLength(46);
    expect(twice[0]?.map((value) => value.reveal())).toEqual(all.map((name) => reader.values.get(name)));
    expect(twice[1]?.map((value) => value.reveal())).toEqual(
      [...all].reverse().map((name) => reader.values.get(name)),
    );
  });

  it('takes both spellings of a reference for one', async () => {
    const one = resolver();
    const [left, right] = await one.resolveAll([REFERENCE, REFERENCE.replace('secret:', 'secrets:')]);
    expect(left?.equals(right as SecretValue)).toBe(true);
    expect(reader.calls).toEqual([[REFERENCE]]);
  });

  it('keeps a value for its time, and no longer', async () => {
    const one = resolver({ cacheTtlMs: 60 });
    await one.resolve(REFERENCE);
    await one.resolve(REFERENCE);
    expect(reader.calls).toHaveLength(1);
    reader.values.set(REFERENCE, 'second-value');
    await waitFor(async () => (await one.resolve(REFERENCE)).reveal() === 'second-value', {
      what: 'the end of the time',
    });
    expect(reader.calls).toHaveLength(2);
    const none = resolver({ cacheTtlMs: 0 });
    await none.resolve(REFERENCE);
    await none.resolve(REFERENCE);
    expect(reader.calls).toHaveLength(4);
  });

  it('asks again where it is told to', async () => {
    const one = resolver();
    await one.resolve(REFERENCE);
    reader.values.set(REFERENCE, 'second-value');
    expect((await one.resolve(REFERENCE)).reveal()).toBe('first-value');
    expect((await one.resolve(REFERENCE, { fresh: true })).reveal()).toBe('second-value');
    expect((await one.resolve(REFERENCE)).reveal()).toBe('second-value');
  });

  it('does not keep failures', async () => {
    const one = resolver();
    reader.failWith = () => failure('transient', 'test: down');
    await expect(one.resolve(REFERENCE)).rejects.toThrow(SecretStoreUnavailableError);
    reader.failWith = null;
    expect((await one.resolve(REFERENCE)).reveal()).toBe('first-value');
  });

  it('opens sealed values and sealed references with any key of the list', async () => {
    const one = resolver({ fernetKeys: `${generateKey()},${key}` });
    expect((await one.resolve(sealText(ring, 'sealed-value'))).reveal()).toBe('sealed-value');
    expect((await one.resolve(sealText(ring, REFERENCE))).reveal()).toBe('first-value');
    expect(reader.calls).toEqual([[REFERENCE]]);
  });

  it.each<[StoreErrorClass, new (...args: never[]) => UnresolvedReferenceError, string, boolean]>([
    ['not-found', SecretNotFoundError, 'SECRET_NOT_FOUND', true],
    ['access', SecretAccessError, 'STORE_ACCESS', false],
    ['transient', SecretStoreUnavailableError, 'STORE_UNAVAILABLE', false],
    ['quota', SecretStoreUnavailableError, 'STORE_UNAVAILABLE', false],
    ['invalid', SecretUnreadableError, 'VALUE_REFUSED_BY_STORE', true],
  ])('tells %s from the others, naming the reference', async (errorClass, type, code, isFinal) => {
    reader.failWith = () => failure(errorClass, 'test: Get failed with SomeError');
    const error = await errorOf(resolver().resolve(REFERENCE));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ code, reference: REFERENCE, isFinal });
    expect(String(error)).toContain(REFERENCE);
  });

  it('tells a reader that throws from a value, without its text', async () => {
    const one = resolver({ readers: { test: { get: () => Promise.reject(new Error('first-value')) } } });
    const error = await errorOf(one.resolve(REFERENCE));
    expect(error).toBeInstanceOf(SecretStoreUnavailableError);
    expect(inspect(error, { depth: 9 })).not.toContain('first-value');
  });

  it('never gives back a reference, a token or a mask', async () => {
    const one = resolver();
    for (const stored of ['secret:/another/name', 'fernet:gAAAAABk', '*********']) {
      reader.values.set('secret:/odd', stored);
      await expect(one.resolve('secret:/odd', { fresh: true })).rejects.toThrow(SecretUnreadableError);
    }
    await expect(one.resolve(sealText(ring, sealText(ring, 'x')))).rejects.toThrow(SealedReferenceError);
    await expect(one.resolve(sealText(KeyRing.parse('K', generateKey()), 'x'))).rejects.toThrow(
      SealedReferenceError,
    );
    await expect(resolver({ readers: {}, fernetKeys: key }).resolve(REFERENCE)).rejects.toThrow(
      SecretAccessError,
    );
    for (const text of ['hunter2', '', 'secret:', 'secret: ']) {
      const error = await errorOf(one.resolve(text));
      expect(error).toBeInstanceOf(NotAReferenceError);
      if (text !== '') expect(inspect(error)).not.toContain('hunter2');
    }
  });

  it('names of a token only its beginning', async () => {
    const sealed = sealText(KeyRing.parse('K', generateKey()), 'x');
    const error = await errorOf(resolver().resolve(sealed));
    expect(String(error)).not.toContain(sealed);
    expect(String(error)).toContain(sealed.slice(0, 31));
    const { fernetKeys: _, ...without } = { fernetKeys: key, readers: { test: reader } };
    await expect(createResolver(without).resolve(sealed)).rejects.toThrow(/INGESTION_FERNET_KEY/);
  });

  it('names the position of a bad key and nothing of it', () => {
    expect(() => createResolver({ fernetKeys: `${key},not-a-key` })).toThrow(/INGESTION_FERNET_KEY: key 2/);
    expect(() => createResolver({ fernetKeys: `${key},not-a-key` })).not.toThrow(/not-a-key/);
  });

  it('looks where the event says: the same name in two stores is two secrets', async () => {
    const other = new FakeReader();
    other.values.set(REFERENCE, 'elsewhere');
    const one = resolver({ readers: { test: reader, other } });
    const there = await one.fill(securedEvent({ store: { provider: 'other' } }));
    const here = await one.fill(securedEvent({ revision: 2 }));
    expect(reveal(there!)).toMatchObject({ connection: { config: { password: 'elsewhere' } } });
    expect(reveal(here!)).toMatchObject({ connection: { config: { password: 'first-value' } } });
  });
});

describe('a store that nobody knows', () => {
  it.each(['constructor', '__proto__', 'azure'])('%s: access, not a crash', async (provider) => {
    await expect(resolver().resolve(REFERENCE, { store: { provider } })).rejects.toThrow(SecretAccessError);
  });
});

describe('a newer revision', () => {
  it('empties what is kept of its connection, an older or equal one does not', async () => {
    const one = resolver();
    await one.fill(securedEvent({ revision: 5 }));
    reader.values.set(REFERENCE, 'second-value');
    expect(one.note(securedEvent({ revision: 5 }))).toBe(false);
    expect(one.note(securedEvent({ revision: 4 }))).toBe(false);
    expect(one.note(securedEvent({ revision: 9, generation: 1 }))).toBe(false);
    expect((await one.resolve(REFERENCE)).reveal()).toBe('first-value');
    expect(one.note(securedEvent({ revision: 6 }))).toBe(true);
    expect((await one.resolve(REFERENCE)).reveal()).toBe('second-value');
    reader.values.set(REFERENCE, 'third-value');
    // After a restore the generation is newer and revisions begin again.
    const sealed = securedEvent({
      revision: 1,
      generation: Date.UTC(2027, 0),
      secretFields: [
        { path: '/connection/config/password', reference: sealText(ring, REFERENCE), owned: true },
      ],
    });
    expect(one.note(sealed)).toBe(true);
    expect((await one.resolve(REFERENCE)).reveal()).toBe('third-value');
  });

  it('empties also the references that it no longer has, and none of other connections', async () => {
    const one = resolver();
    reader.values.set('secret:/other', 'other-value');
    await one.resolve('secret:/other');
    await one.fill(securedEvent());
    one.note(securedEvent({ revision: 2, entity: null, secretFields: [] }));
    await one.resolveAll([REFERENCE, 'secret:/other']);
    expect(reader.calls).toEqual([['secret:/other'], [REFERENCE], [REFERENCE]]);
  });

  it('makes a request that is under way count for nothing', async () => {
    const one = resolver();
    let open: () => void = () => undefined;
    reader.gate = new Promise((resolve) => (open = resolve));
    const early = one.fill(securedEvent());
    await waitFor(() => reader.calls.length === 1, { what: 'the first request' });
    reader.values.set(REFERENCE, 'second-value');
    const late = one.fill(securedEvent({ revision: 2 }));
    await waitFor(() => reader.calls.length === 2, { what: 'a request of its own' });
    open();
    expect(reveal((await early)!)).toMatchObject({ connection: { config: { password: 'first-value' } } });
    expect(reveal((await late)!)).toMatchObject({ connection: { config: { password: 'second-value' } } });
    expect((await one.resolve(REFERENCE)).reveal()).toBe('second-value');
  });
});

describe('what resolving gives', () => {
  it('does not print itself, and is filled into a copy', async () => {
    const event = securedEvent();
    const before = JSON.stringify(event);
    const filled = await resolver().fill(event);
    expect(JSON.stringify(event)).toBe(before);
    const printed = [inspect(filled, { depth: 9 }), JSON.stringify(filled)];
    expect(printed.join()).not.toContain('first-value');
    expect(reveal(filled!)).toEqual({
      ...event.entity,
      connection: { config: { password: 'first-value' } },
    });
  });

  it('is null for a deletion', async () => {
    expect(await resolver().fill(securedEvent({ entity: null, secretFields: [] }))).toBeNull();
  });
});
