import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SecretsManager } from '../../src/secrets-managers/port.js';
import {
  CONNECTION,
  errorOf,
  freshId,
  freshToken,
  ODD_VALUES,
  putItem,
  reference,
  storeCall,
  valueOf,
} from './fixture.js';

/** What every manager promises whose values stay with us: `db` and the non-managed ones. */
export function describeSealing(
  title: string,
  open: () => Promise<{ manager: SecretsManager; close: () => Promise<void> }>,
): void {
  describe(title, () => {
    let manager: SecretsManager;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ manager, close } = await open());
    });
    afterAll(() => close());

    it.each(ODD_VALUES)('seals and opens: %s', async (_name, value) => {
      const call = storeCall();
      const [result] = await manager.store.put([putItem(freshId(), value)], call);
      const stored = valueOf(result);
      expect(stored.reference).toMatch(/^fernet:gAAAA/);
      expect(stored.reference).not.toContain(value.length > 3 ? value : '\u0000');
      const [opened] = await manager.store.get([{ reference: stored.reference }], call);
      expect(valueOf(opened).value.reveal()).toBe(value);
      expect(valueOf(opened).version).toBe(stored.version);
      expect(call.admitted()).toBe(0);
    });

    it('keeps length and order of tokens and names mixed', async () => {
      const stored = await manager.store.put([putItem(freshId(), 'a'), putItem(freshId(), 'b')], storeCall());
      const [a, b] = stored.map((result) => valueOf(result).reference);
      if (a === undefined || b === undefined) throw new Error('not stored');
      const wanted = [b, reference(freshId()), a, reference(freshId()), b];
      const results = await manager.store.get(
        wanted.map((one) => ({ reference: one })),
        storeCall(),
      );
      const told = results.map((result) => (result.ok ? result.value.value.reveal() : result.error.class));
      expect(told).toEqual(['b', 'not-found', 'a', 'not-found', 'b']);
    });

    it('does not take a token that it cannot open for an absent one', async () => {
      const [result] = await manager.store.get([{ reference: 'fernet:gAAAAABnonsense' }], storeCall());
      expect(errorOf(result)).toMatchObject({ class: 'access', code: 'STORE_ACCESS' });
      expect(errorOf(result).message).not.toContain('nonsense');
    });

    it('has nothing to delete, restore or reach elsewhere', async () => {
      const call = storeCall();
      const [result] = await manager.store.put([putItem(freshId(), 'v')], call);
      const { reference: token, version } = valueOf(result);
      const named = { reference: token, connectionId: CONNECTION, isCommitted: true };
      expect(await manager.store.delete([named], call)).toEqual([{ ok: true, value: 'absent' }]);
      const restored = await manager.store.restore({ ...named, version, requestKey: freshToken() }, call);
      expect(valueOf(restored)).toEqual({ version });
      expect(valueOf(await manager.store.describe(token, call)).ownedBy).toBeNull();
      expect(valueOf(await manager.store.check(call)).detail).not.toBe('');
      const [opened] = await manager.store.get([{ reference: token }], call);
      expect(valueOf(opened).value.reveal()).toBe('v');
      expect(call.admitted()).toBe(0);
    });

    it('refuses by limits before sealing', async () => {
      const { maxValueBytes } = manager.limits;
      const [largest, longer] = await manager.store.put(
        [putItem(freshId(), 'x'.repeat(maxValueBytes)), putItem(freshId(), 'x'.repeat(maxValueBytes + 1))],
        storeCall(),
      );
      expect(largest?.ok).toBe(true);
      expect(errorOf(longer).class).toBe('invalid');
    });
  });
}
