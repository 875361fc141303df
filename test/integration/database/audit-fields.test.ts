import { expect, it } from 'vitest';
import { migrateSchema, revertSchema } from '../../../src/database/schema.js';
import { createDatabase, queryDatabase } from '../../harness/index.js';
import { describeEngines, execute, openDatabase } from './support.js';

const OLD_ROW = `INSERT INTO audit (id, at_ms, action, detail) VALUES ('old', 1, 'create', 'before')`;
const NAME = 'AuditEvents1791000200000';

describeEngines('which fields an event changed', (engine) => {
  it('gets its column in a filled database; going back leaves the rows', async () => {
    const { url } = await createDatabase(engine);
    const database = await openDatabase(url);
    await migrateSchema(database);
    while ((await revertSchema(database, null)) !== NAME);
    await execute(database, OLD_ROW);
    await migrateSchema(database);
    const fields = { plain: ['/connection/config/naïve \u{1f511}'], secret: [], more: 1 };
    await database.run(({ manager, tables }) =>
      manager.insert(tables.audit, { id: 'new', atMs: 2, action: 'apply', fields }),
    );
    const read = await database.run(({ manager, tables }) =>
      manager.find(tables.audit, { order: { atMs: 'ASC' } }),
    );
    expect(read).toMatchObject([
      { id: 'old', detail: 'before', fields: null },
      { id: 'new', fields },
    ]);
    while ((await revertSchema(database, null)) !== NAME);
    expect(await queryDatabase({ url }, 'SELECT id FROM audit ORDER BY at_ms')).toEqual([
      { id: 'old' },
      { id: 'new' },
    ]);
  });
});
