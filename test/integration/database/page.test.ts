import { expect, it } from 'vitest';
import { readPage, type Page } from '../../../src/database/page.js';
import type { OperationRow } from '../../../src/database/rows.js';
import { describeEngines, openLedger } from './support.js';

/** Times of which several are the same, so that the ids decide. */
const TIMES = [3, 1, 2, 2, 2, 3, 1];

describeEngines('pages of a list', (engine) => {
  it.each(['ASC', 'DESC'] as const)('are the whole list in its order, %s', async (direction) => {
    const { database } = await openLedger(engine);
    const row = (time: number, index: number): OperationRow => ({
      ...{ id: `id-${index}`, kind: 'replay', state: 'done', parameters: '{}', progress: '{}' },
      createdAtMs: time,
      updatedAtMs: 0,
    });
    const rows = TIMES.map(row);
    const order = { at: 'createdAtMs', id: 'id', direction } as const;
    await database.run(({ manager, tables }) => manager.insert(tables.operation, rows));
    const read = (limit: number | null, after: string | null): Promise<Page<OperationRow>> =>
      database.run(({ manager, tables }) =>
        readPage(manager.createQueryBuilder(tables.operation, 'operation'), order, { limit, after }),
      );

    const sign = direction === 'ASC' ? 1 : -1;
    const wanted = [...rows].sort((a, b) => sign * (a.createdAtMs - b.createdAtMs) || (a.id < b.id ? -1 : 1));
    expect((await read(null, null)).items.map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));

    const first = await read(2, null);
    // What comes and goes in front of a page shifts nothing.
    const added = { ...row(sign > 0 ? 0 : 9, 9), id: 'new' };
    await database.run(async ({ manager, tables }) => {
      await manager.insert(tables.operation, added);
      await manager.delete(tables.operation, { id: first.items[0]?.id ?? '' });
    });
    const seen = [...first.items];
    for (let { next } = first; next !== null;) {
      const page = await read(2, next);
      expect(page.total).toBe(TIMES.length);
      seen.push(...page.items);
      next = page.next;
    }
    expect(seen.map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));
  });
});
