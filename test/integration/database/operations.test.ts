import { expect, it } from 'vitest';
import {
  beginOperation,
  listOperations,
  unfinishedOperation,
  updateOperation,
} from '../../../src/database/operations.js';
import { EVERYTHING } from '../../../src/database/page.js';
import { describeEngines, openLedger } from './support.js';

describeEngines('operations', (engine) => {
  it('are remembered with their parameters and progress until they are over', async () => {
    const { database } = await openLedger(engine);
    expect(await unfinishedOperation(database, 'replay')).toBeNull();
    const begun = await beginOperation(database, 'replay', { from: 'beginning' }, { done: 0 });
    await beginOperation(database, 'rotate-keys', {}, {});

    await updateOperation(database, begun.id, { progress: { done: 5 } });
    await updateOperation(database, begun.id, { state: 'interrupted' });
    expect(await unfinishedOperation(database, 'replay')).toMatchObject({
      id: begun.id,
      kind: 'replay',
      state: 'interrupted',
      parameters: { from: 'beginning' },
      progress: { done: 5 },
    });

    await updateOperation(database, begun.id, { state: 'done' });
    expect(await unfinishedOperation(database, 'replay')).toBeNull();
    expect(await listOperations(database, 'replay', EVERYTHING)).toMatchObject({
      items: [{ state: 'done' }],
      next: null,
      total: 1,
    });
  });
});
