import type { Tag } from './settings.js';
import type { PutItem } from './port.js';

const MANAGED_BY_KEY = 'managed-by';
const MANAGED_BY = 'connection-secrets-worker';
/** The tag that every secret of ours carries, of whatever connection. */
export const OUR_TAG = { key: MANAGED_BY_KEY, value: MANAGED_BY } as const;
const CONNECTION_ID_KEY = 'connection-id';

/** The tags of a secret we create: the two that say it is ours come first and can not be configured away. */
export function tagsFor(connectionId: string, configured: readonly Tag[]): Tag[] {
  const own = [
    { key: MANAGED_BY_KEY, value: MANAGED_BY },
    { key: CONNECTION_ID_KEY, value: connectionId },
  ];
  return [...own, ...configured.filter((tag) => tag.key !== MANAGED_BY_KEY && tag.key !== CONNECTION_ID_KEY)];
}

interface AwsTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** The connection a secret's tags name, or null where it is not ours. Takes the AWS form of a tag. */
export function ownerOf(tags: readonly AwsTag[] | undefined): string | null {
  const valueOf = (key: string): string | undefined => tags?.find((tag) => tag.Key === key)?.Value;
  return valueOf(MANAGED_BY_KEY) === MANAGED_BY ? (valueOf(CONNECTION_ID_KEY) ?? null) : null;
}

/**
 * - `ours`: write
 * - `claim`: may be written once our tags are on it
 * - `refuse`: somebody else's
 */
export type OwnershipVerdict = 'ours' | 'claim' | 'refuse';

/** The one place that decides whether an existing secret may be written for an item. */
export function judgeOwnership(
  owner: string | null,
  item: Pick<PutItem, 'connectionId' | 'adopt' | 'takeOverFrom'>,
): OwnershipVerdict {
  if (owner === item.connectionId) return 'ours';
  if (owner === null) return item.adopt ? 'claim' : 'refuse';
  return owner === item.takeOverFrom ? 'claim' : 'refuse';
}
