import type { Config } from '../../config.js';
import type { Database } from '../../database/database.js';
import type { KafkaSettings } from '../../kafka/settings.js';
import type { Logger } from '../../observability/index.js';
import { requireOwnGroup } from './group.js';
import { chosenTopics, planPositions, type ReplayPlan } from './plan.js';
import type { PartitionPosition } from './positions.js';
import { readOffsetRanges } from '../../kafka/partitions.js';

export interface PositionsOptions {
  readonly config: Config;
  readonly settings: KafkaSettings;
  /** Null: there is none yet. */
  readonly database: Database | null;
  readonly logger: Logger;
}

/**
 * Where a plan begins and ends in each partition, as the topics are now.
 * @throws ConfigurationError USAGE_INVALID for what the plan names and the topics do not have, or a group that is in use
 */
export async function readPositions(
  { config, settings, database, logger }: PositionsOptions,
  plan: ReplayPlan,
): Promise<readonly PartitionPosition[]> {
  const { created, updated, deleted } = config.topics;
  const topics = chosenTopics([created, updated, deleted], plan.selection);
  await requireOwnGroup(database, plan.group, settings, topics, logger);
  const sinceMs = plan.start.kind === 'time' ? plan.start.timeMs : null;
  return planPositions(await readOffsetRanges(settings, topics, logger, sinceMs), plan);
}
