import { randomUUID } from 'node:crypto';
import type { Installation, ManagerName } from '../terms.js';
import type { Database, Transaction } from './database.js';
import { lockManagerEpoch } from './manager-epoch.js';

/** Where this database has left its mark in a store. */
export interface MarkedStore {
  readonly manager: ManagerName;
  readonly markerId: string;
}

const MARKED_STORES = 'marked_stores';

export async function readMarkedStores(database: Database): Promise<MarkedStore[]> {
  return database.run(markedStores);
}

export async function rememberMarkedStore(database: Database, marked: MarkedStore): Promise<void> {
  await database.transaction(async (tx) => {
    await lockManagerEpoch(tx, 'update');
    const known = await markedStores(tx);
    if (known.some(({ manager, markerId }) => manager === marked.manager && markerId === marked.markerId))
      return;
    await set(tx, MARKED_STORES, JSON.stringify([...known, marked]));
  });
}

/** Every secret of this database was found with its installation's tag: from now on none is looked at before it is written. */
export async function rememberAllTagged(database: Database): Promise<void> {
  await database.transaction(({ manager, tables }) =>
    manager.update(tables.setting, { name: 'installation_tagged', value: 'some' }, { value: 'all' }),
  );
}

/** This database is a copy, and an installation of its own from now on. Workers that still run stop at their next transaction. */
export function becomeCopy(database: Database): Promise<Installation> {
  return become(database, { id: randomUUID(), tagged: 'own' });
}

/** This database takes the place of one that is lost. What that wrote may be from version 0.1: looked at before it is written. */
export function takeOver(database: Database, id: string): Promise<Installation> {
  return become(database, { id, tagged: 'some' });
}

/** Whether it has recorded a secret under names that begin like this, and not deleted it. */
export function keepsUnder(database: Database, prefix: string): Promise<boolean> {
  return database.run(async ({ manager, tables }) => {
    const rows = manager.createQueryBuilder(tables.storedSecret, 'stored').where("stored.state <> 'deleted'");
    return rows
      .andWhere('SUBSTR(stored.secretId, 1, :length) = :prefix', { length: prefix.length, prefix })
      .getExists();
  });
}

async function become(database: Database, installation: Installation): Promise<Installation> {
  return database.transaction(async (tx) => {
    const epoch = await lockManagerEpoch(tx, 'update');
    await set(tx, 'installation', installation.id);
    await set(tx, 'installation_tagged', installation.tagged);
    await set(tx, MARKED_STORES, '[]');
    await set(tx, 'manager_epoch', String(epoch + 1));
    return installation;
  });
}

async function markedStores({ manager, tables }: Transaction): Promise<MarkedStore[]> {
  const row = await manager.findOneBy(tables.setting, { name: MARKED_STORES });
  return JSON.parse(row?.value ?? '[]') as MarkedStore[];
}

async function set({ manager, tables }: Transaction, name: string, value: string): Promise<void> {
  const { affected } = await manager.update(tables.setting, { name }, { value });
  const isThere = affected !== 0 || (await manager.existsBy(tables.setting, { name }));
  if (!isThere) await manager.insert(tables.setting, { name, value });
}
