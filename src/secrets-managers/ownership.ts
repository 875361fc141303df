import { WorkerError } from '../errors.js';
import { failure, type Failure, type DeleteItem, type PutItem } from './port.js';
import type { Installation } from '../terms.js';
import type { Tag } from './settings.js';

const MANAGED_BY = 'connection-secrets-worker';
const MANAGED_BY_KEY = 'managed-by';
const CONNECTION_ID_KEY = 'connection-id';
const INSTALLATION_KEY = 'installation';
const ADOPTED_KEY = 'connection-secrets-adopted';
/** The tag that every secret of ours carries, of whatever connection and installation. */
export const OUR_TAG = { key: MANAGED_BY_KEY, value: MANAGED_BY } as const;

/** Whom the tags of a secret name. */
export interface Owner {
  readonly connectionId: string;
  /** Null: version 0.1 of this program, which named none. */
  readonly installation: string | null;
  /** It was somebody's before, whose value may be the only copy until ours is committed. */
  readonly isAdopted?: boolean;
}

/** Whose a secret is, as this installation sees it. */
export interface Standing {
  /** The connection of this installation that it is tagged for; null: it is not ours. */
  readonly ownedBy: string | null;
  /** Which installation its tags name; `missing`: none, and it is still ours where `ownedBy` is set. */
  readonly installation: 'ours' | 'missing' | 'another';
  /** See {@link Owner.isAdopted}. */
  readonly isAdopted?: boolean;
}

/**
 * - `ours`: write
 * - `complete`: ours, and a tag is missing: write once our tags are on it
 * - `claim`: not ours yet; may be written once our tags are on it
 * - `refuse`: somebody else's
 */
export type OwnershipVerdict = 'ours' | 'complete' | 'claim' | 'refuse';

interface AwsTag {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

/** Whom tags name, in the AWS form of a tag; null where they are not ours. */
export function ownerOf(tags: readonly AwsTag[] | undefined): Owner | null {
  const valueOf = (key: string): string | null => tags?.find((tag) => tag.Key === key)?.Value ?? null;
  const connectionId = valueOf(CONNECTION_ID_KEY);
  if (valueOf(MANAGED_BY_KEY) !== MANAGED_BY || connectionId === null) return null;
  const isAdopted = valueOf(ADOPTED_KEY) !== null;
  return { connectionId, installation: valueOf(INSTALLATION_KEY), ...(isAdopted ? { isAdopted } : {}) };
}

/** The one place that decides whose a secret is, and whether it may be written: the same for every store. */
export class Ownership {
  readonly #installation: Installation | null;
  readonly #configured: readonly Tag[];

  constructor({
    installation,
    tags,
  }: {
    readonly installation?: Installation;
    readonly tags: readonly Tag[];
  }) {
    this.#installation = installation ?? null;
    this.#configured = tags;
  }

  /** Whether also known secrets are looked at before they are written: not every one of them carries our tags yet. */
  get looksFirst(): boolean {
    return this.#required().tagged !== 'all';
  }

  /** @param isAdopted it was somebody's before */
  ownerFor(connectionId: string, isAdopted = false): Owner {
    return { connectionId, installation: this.#required().id, ...(isAdopted ? { isAdopted } : {}) };
  }

  /**
   * The tags of a secret of ours: those that say whose it is come first and cannot be configured away.
   *
   * @param isAdopted it was somebody's before; never taken off again
   */
  tagsFor(connectionId: string, isAdopted = false): Tag[] {
    const own = [
      { key: MANAGED_BY_KEY, value: MANAGED_BY },
      { key: CONNECTION_ID_KEY, value: connectionId },
      { key: INSTALLATION_KEY, value: this.#required().id },
      ...(isAdopted ? [{ key: ADOPTED_KEY, value: 'true' }] : []),
    ];
    return [...own, ...this.#configured.filter(({ key }) => own.every((tag) => tag.key !== key))];
  }

  standingOf(owner: Owner | null): Standing {
    if (owner === null) return { ownedBy: null, installation: 'missing' };
    const { connectionId, installation, isAdopted = false } = owner;
    const ours = { ownedBy: connectionId, ...(isAdopted ? { isAdopted } : {}) };
    if (installation !== null && installation === this.#installation?.id)
      return { ...ours, installation: 'ours' };
    // What a copy of a database finds without an installation's tag is the original's.
    if (installation === null && this.#installation?.tagged !== 'own')
      return { ...ours, installation: 'missing' };
    return { ownedBy: null, installation: 'another' };
  }

  /** Whether a secret that exists may be written for an item. */
  judge(
    { ownedBy, installation }: Standing,
    item: Pick<PutItem, 'connectionId' | 'adopt' | 'takeOverFrom' | 'createOnly'>,
  ): OwnershipVerdict {
    if (item.createOnly === true || installation === 'another') return 'refuse';
    if (ownedBy === item.connectionId) return installation === 'ours' ? 'ours' : 'complete';
    if (ownedBy === null) return item.adopt ? 'claim' : 'refuse';
    return ownedBy === item.takeOverFrom ? 'claim' : 'refuse';
  }

  /** Whether a secret may be deleted: what was somebody's before, and has no committed value of ours, stays. */
  mayDelete({ ownedBy, isAdopted = false }: Standing, { connectionId, isCommitted }: DeleteItem): boolean {
    return ownedBy === connectionId && (isCommitted || !isAdopted);
  }

  #required(): Installation {
    // Who only reads is told of none.
    if (this.#installation === null)
      throw new WorkerError('INTERNAL', 'a store opened for reading was to be written');
    return this.#installation;
  }
}

/** Why a secret is left alone. */
export function notOwned(provider: string, secretId: string, standing: Standing): Failure {
  return failure('conflict', `${provider}: the secret ${secretId} ${ownershipText(standing)}`, {
    code: 'SECRET_NOT_OWNED',
  });
}

export function ownershipText({ ownedBy, installation }: Standing): string {
  if (installation === 'another') return 'belongs to another installation of this program';
  return ownedBy === null ? 'carries no tag of ours' : `is tagged for connection ${ownedBy}`;
}
