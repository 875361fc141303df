import { randomUUID } from 'node:crypto';
import type { Database } from '../../database/database.js';
import { ConfigurationError } from '../../errors.js';
import { readGroup } from '../../kafka/admin.js';
import type { KafkaSettings } from '../../kafka/settings.js';
import type { Logger } from '../../observability/index.js';
import type { ReplayPlan } from './plan.js';
import { readGroupId } from '../../database/group-id.js';

/** A group of its own for each run, so that a new run never waits for a member of a killed one. */
export function groupOf({ group }: ReplayPlan, { groupId }: KafkaSettings): string {
  return group ?? `${groupId}-replay-${randomUUID().slice(0, 8)}`;
}

/**
 * A group that was named for a replay must be unused: joining another's would take its partitions away.
 * @throws ConfigurationError USAGE_INVALID for the workers' group, or one that is in use
 */
export async function requireOwnGroup(
  database: Database,
  group: string | null,
  settings: KafkaSettings,
  topics: readonly string[],
  logger: Logger,
): Promise<void> {
  if (group === null) return;
  if (group === settings.groupId || group === (await readGroupId(database)))
    throw new ConfigurationError('USAGE_INVALID', `--group: ${group} is the workers' own group`);
  const facts = await readGroup({ ...settings, groupId: group }, topics, logger);
  if (facts.members > 0 || facts.topics.length > 0)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `--group: ${group} is in use (${facts.members} members, offsets of ${facts.topics.length} source topics): name a new one`,
    );
}
