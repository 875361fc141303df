import type { ManagerName } from '../../terms.js';

interface KindEntry {
  readonly meaning: string;
  /** What `--repair` does; null: nothing, it is explained only. */
  readonly repair: string | null;
  readonly remedy: string;
}

/** What `verify` can find. docs/cli.md has this table; a test keeps the two equal. */
export const FINDING_KINDS = {
  missing: {
    meaning: 'The store has no secret of this name.',
    repair: 'kept as lost: a dead letter `SECRET_VERSION_GONE` names connection and field',
    remedy: 'Publish the entity again with its values.',
  },
  scheduled: {
    meaning: 'The secret is scheduled for deletion, and a field needs it.',
    repair: 'the deletion is called off',
    remedy: 'Run it with --repair.',
  },
  changed: {
    meaning: 'The current value is not the one that the database recorded: somebody changed it in the store.',
    repair: 'the recorded version is made the current one; where the store has it no more: as `missing`',
    remedy: 'Run it with --repair, or publish the entity with the value that is right.',
  },
  replaced: {
    meaning:
      'The value is another one under the recorded version: the secret was deleted and made anew in the store.',
    repair: null,
    remedy: 'Publish the entity again with its values.',
  },
  tags: {
    meaning: 'Our tags are missing, or name another connection.',
    repair: 'the tags are put back, where version and value are the recorded ones',
    remedy: 'Run it with --repair; where that leaves it, publish the entity again with its values.',
  },
  orphan: {
    meaning: 'The secret is tagged for a connection of this database, which has no record of it.',
    repair: 'retired, and deleted after the grace, where the database once recorded it for that connection',
    remedy: 'Where nobody needs it, delete it in the store. After a restore from a backup, replay first.',
  },
  unreferenced: {
    meaning: 'The database records a secret that no field refers to.',
    repair: 'retired, and deleted after the grace',
    remedy: 'Run it with --repair.',
  },
  unrecorded: {
    meaning: 'A field refers to a secret of ours that the database does not record.',
    repair: null,
    remedy: 'Publish the entity again with its values.',
  },
  external: {
    meaning: 'A reference that a user typed names a secret that is not there, or may not be read.',
    repair: null,
    remedy: 'Correct the reference in the entity, or make the secret.',
  },
  token: {
    meaning: 'A sealed value or reference is opened by no key of FERNET_KEY.',
    repair: null,
    remedy: 'Add the key it was sealed with to FERNET_KEY.',
  },
  unsent: {
    meaning: 'The last secured event of the connection is not published yet.',
    repair: null,
    remedy: 'Start a worker, or look at its log: it publishes what is unsent by itself.',
  },
  denied: {
    meaning: 'It could not be looked at: a permission is missing.',
    repair: null,
    remedy: 'Grant the permission that the detail names.',
  },
} as const satisfies Record<string, KindEntry>;

export type FindingKind = keyof typeof FINDING_KINDS;

/**
 * `open`: no repair was asked for, or there is none. `repaired`: done, and looked at again. `lost`: nobody has the value;
 * it is kept as lost. `left`: the repair would not have been safe, or did not succeed; run it again.
 */
export type RepairState = 'open' | 'repaired' | 'lost' | 'left';

export interface Finding {
  readonly kind: FindingKind;
  readonly manager: ManagerName | null;
  readonly connectionId: string | null;
  readonly path: string | null;
  readonly secretId: string | null;
  /** Names and versions; never values. */
  readonly detail: string;
  state: RepairState;
}

/** Whether a finding is settled. */
export function isSettled({ state }: Finding): boolean {
  return state === 'repaired';
}
