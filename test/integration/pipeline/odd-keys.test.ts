import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatPointer } from '../../../src/catalog/json-path.js';
import { describeEngines } from '../database/support.js';
import { eventRecord, MASKED } from '../../components/pipeline/events.js';
import { openBench, type BenchWorker } from '../../components/pipeline/fixture.js';

/** What a database may cut, fold, join or refuse, and what an escape may be mistaken for. */
const ODD = [
  ...['\0', 'a\0b', 'a\uFFFDb', 'a\uFDD0b', 'a\uFDD00000b', 'a0000b', '\u0001', '\u007f', '\n'],
  ...['', ' ', '  ', '\u00a0', 'X', 'x', 'é', 'e\u0301', 'ß', 'ss', 'İ', 'i\u0307', 'ﬁ', 'fi', 'Å', '\u212b'],
  ...['🔑', '𐀀', '\uffff', '\u200f', '/', '~', '~0', '~1', '\\', '\\0', "'", '"', '%', '`', '?', '__proto__'],
  'x'.repeat(700),
];

interface Kept {
  readonly path: string;
  readonly pointer: string;
  readonly sealed: string;
}

describeEngines('a field under any key', (engine) => {
  const config = (keys: readonly string[], password: string) => ({
    connectionOptions: Object.fromEntries(
      keys.map((key, index) => [key, { password: password.replace('#', String(index)) }]),
    ),
  });
  const pathsOf = (keys: readonly string[]): string[] =>
    keys.map((key) => formatPointer(['connection', 'config', 'connectionOptions', key, 'password'])).sort();
  const rowsOf = async ({ database }: BenchWorker, connectionId: string): Promise<Kept[]> => {
    const rows = await database.run(({ manager, tables }) =>
      manager.find(tables.reference, { where: { connectionId } }),
    );
    return rows
      .map(({ path, pointer, sealed }) => ({ path, pointer, sealed }))
      .sort((left, right) => (left.path < right.path ? -1 : 1));
  };

  /** Text, mask, the same text, one key less: what is stored is found each time. */
  async function expectFound(worker: BenchWorker, id: string, keys: readonly string[]): Promise<void> {
    const handle = async (at: number, config: Record<string, never> | object) => {
      await worker.handle(eventRecord({ id, name: id, at, config: config as never }));
      return worker.last();
    };
    expect(await handle(1, config(keys, 'MARK-#'))).toMatchObject({ outcome: 'applied' });
    const first = await rowsOf(worker, id);
    expect(first.map(({ path }) => path)).toEqual(pathsOf(keys));
    expect(first.map(({ pointer }) => pointer)).toEqual(pathsOf(keys));
    expect(await handle(2, config(keys, MASKED))).toMatchObject({ outcome: 'applied', writes: 0 });
    expect(await rowsOf(worker, id)).toEqual(first);
    expect(await handle(3, config(keys, 'MARK-#'))).toMatchObject({ outcome: 'applied', writes: 0 });
    expect(await rowsOf(worker, id)).toEqual(first);
    const rest = keys.slice(1);
    expect(await handle(4, config(rest, MASKED))).toMatchObject({ outcome: 'applied', writes: 0 });
    expect((await rowsOf(worker, id)).map(({ path }) => path)).toEqual(pathsOf(rest));
  }

  it('is found again beside all keys that look like it', async () => {
    const { worker } = await openBench({ engine, manager: 'db' });
    await expectFound(
      worker,
      'all',
      ODD.map((odd) => `k${odd}`),
    );
  });

  it('is found again whatever the key is, and written once', async () => {
    const { bench, worker } = await openBench({ engine });
    let connections = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constantFrom(...ODD), fc.string({ unit: 'binary', maxLength: 30 })),
        async (odd) => {
          connections += 1;
          const writes = bench.store.writes;
          await expectFound(worker, `c${connections}`, [`k${odd}`]);
          expect(bench.store.writes).toBe(writes + 1);
        },
      ),
      { numRuns: 15 },
    );
  });
});
