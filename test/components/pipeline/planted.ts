import { IsNull, Not } from 'typeorm';
import type { Database } from '../../../src/database/database.js';
import { toSealed } from '../../../src/fernet/index.js';
import type { PlanContext } from '../../../src/pipeline/context.js';
import { outboxRow, outgoingRecord, securedRecord } from '../../../src/pipeline/outbox.js';
import { referenceRow } from '../../../src/pipeline/references.js';
import { eventRecord } from './events.js';

interface Planter {
  readonly database: Database;
  readonly context: PlanContext;
}

/** A password field that refers to a name as earlier versions took it in: past the judge. */
export async function plantReference(
  { database, context }: Planter,
  handle: (record: ReturnType<typeof eventRecord>) => Promise<unknown>,
  owner: { readonly id: string; readonly name: string },
  secretId: string,
): Promise<void> {
  await handle(eventRecord({ ...owner, password: 'secret:/team-a/planted', at: 1 }));
  await database.run(async ({ manager, tables }) => {
    const row = await manager.findOneByOrFail(tables.reference, { connectionId: owner.id });
    const content = { holds: 'reference', secretId, owned: false, fingerprint: null } as const;
    await manager.save(tables.reference, referenceRow({ ...row, content }, context));
  });
}

/**
 * Every unsent record as 0.1 wrote it: each in a row of its own, under FERNET_KEY itself, and with nothing but these
 * members.
 */
export async function unsentOfEarlierVersion({ database, context }: Planter): Promise<void> {
  await database.run(async ({ manager, tables }) => {
    for (const row of await manager.findBy(tables.connection, { unpublishedSinceMs: Not(IsNull()) })) {
      const { id: connectionId, revision } = row;
      const references = await manager.findBy(tables.reference, { connectionId });
      const record = securedRecord(row, references, [], context);
      const place = { connectionId, revision, nowMs: row.updatedAtMs };
      await manager.insert(tables.outbox, outboxRow(record, place, context.rings.outbox));
    }
    await manager
      .createQueryBuilder()
      .update(tables.connection)
      .set({ unpublishedSinceMs: null, securedFrom: null })
      .execute();
    const rows = await manager.findBy(tables.outbox, { sentAtMs: IsNull() });
    for (const row of rows) {
      const { stream, key, value, headers } = outgoingRecord(row, context.rings.outbox);
      const packed = { stream, key, value: value?.toString('utf8') ?? null, headers };
      const payload = toSealed(context.rings.database.seal(JSON.stringify(packed)));
      await manager.update(tables.outbox, { id: row.id }, { payload });
    }
  });
}
