import type { Database } from './database.js';
import { forgetHandledFrom } from './handled-from.js';
import { ConfigurationError } from '../errors.js';

const NAME = 'kafka_group_id';

/**
 * A database remembers the consumer group that works on it: two groups would read every event twice, each with offsets
 * of its own. The first start writes it down.
 *
 * @param isChangeAllowed take the configured group over (`start --allow-group-change`)
 * @throws ConfigurationError CONFIG_INVALID naming both groups
 */
export async function claimGroupId(
  database: Database,
  groupId: string,
  isChangeAllowed: boolean,
): Promise<void> {
  await database.transaction(async (tx) => {
    const { manager, tables } = tx;
    const value = { name: NAME, value: groupId };
    await manager.createQueryBuilder().insert().into(tables.setting).values(value).orIgnore().execute();
    const { value: known } = await manager.findOneByOrFail(tables.setting, { name: NAME });
    if (known === groupId) return;
    if (!isChangeAllowed) throw otherGroup(groupId, known);
    await manager.update(tables.setting, { name: NAME }, { value: groupId });
    await forgetHandledFrom(tx);
  });
}

/** The group that works on this database; null: none has yet. */
export async function readGroupId(database: Database): Promise<string | null> {
  const row = await database.run(({ manager, tables }) => manager.findOneBy(tables.setting, { name: NAME }));
  return row?.value ?? null;
}

function otherGroup(configured: string, known: string): ConfigurationError {
  return new ConfigurationError(
    'CONFIG_INVALID',
    `KAFKA_GROUP_ID is ${configured}, but workers of the group ${known} work on this database: two groups would handle ` +
      `every event twice. Configure ${known}; or, when no worker of that group runs any more, start once with ` +
      '--allow-group-change',
  );
}
