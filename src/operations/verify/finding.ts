import type { ManagerName } from '../../terms.js';

interface KindEntry {
  readonly meaning: string;
  /** What `--repair` does, or the flag that the text begins with; null: nothing, it is explained only. */
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
    meaning:
      'The store has another value than the one we wrote last: somebody changed it there, as a rotation does.',
    repair:
      '`--accept`: the store’s value is the newest from now on, and readers are told; `--restore`: ours is made the current one, where the store still has it (else as `missing`)',
    remedy: 'Run it with --accept where the store’s value is right, with --restore where ours is.',
  },
  version: {
    meaning: 'The store has the recorded value under another version: somebody wrote it again.',
    repair: 'the recorded version is made the current one',
    remedy: 'Run it with --repair.',
  },
  replaced: {
    meaning:
      'The value is another one under the recorded version: the secret was deleted and made anew in the store.',
    repair: '`--accept`: as for `changed`',
    remedy:
      'Run it with --accept where the store’s value is right, else publish the entity again with its values.',
  },
  tags: {
    meaning: 'Our tags are missing, or name another connection or another installation.',
    repair:
      'the tags are put back, where version and value are the recorded ones, or none is recorded yet because it was adopted by reference; another installation’s are left',
    remedy:
      'Run it with --repair. Where the value has changed as well, decide about that first (--accept puts missing tags back). Another installation’s secret: doctor says whose it is.',
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
  'foreign-reference': {
    meaning:
      'A field refers to a secret of another connection, or to a name under a prefix of ours: taken in by an earlier version. It is not published.',
    repair: null,
    remedy: 'Publish the entity with a value, or with a reference of its own.',
  },
  token: {
    meaning: 'A sealed value or reference is opened by no key of FERNET_KEY.',
    repair: null,
    remedy: 'Add the key it was sealed with to FERNET_KEY.',
  },
  altered: {
    meaning:
      'A row of a reference is not as the worker wrote it: somebody has changed it, moved it, or exchanged it with another one.',
    repair: null,
    remedy: 'Publish the entity again with its values, and find out who writes to the database.',
  },
  unsent: {
    meaning: 'The last secured event of the connection is not published yet.',
    repair: null,
    remedy: 'Start a worker, or look at its log: it publishes what is unsent by itself.',
  },
  denied: {
    meaning: 'It could not be looked at: the store did not let us in.',
    repair: null,
    remedy: 'Do what the detail says.',
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
