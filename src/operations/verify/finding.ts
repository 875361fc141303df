import type { ManagerName } from '../../terms.js';

interface KindEntry {
  readonly meaning: string;
  /** What `--repair`, or the flag that the text begins with, does about it; null: nothing. */
  readonly repair: string | null;
  readonly remedy: string;
}

/** What `verify` can find. docs/cli.md has this table, and a test keeps the two equal. */
export const FINDING_KINDS = {
  missing: {
    meaning: 'The store has no secret of this name.',
    repair: 'recorded as lost: a dead letter `SECRET_VERSION_GONE` names connection and field',
    remedy: 'Publish the entity again with its values.',
  },
  scheduled: {
    meaning: 'The secret is scheduled for deletion, and a field needs it.',
    repair: 'the deletion is cancelled',
    remedy: 'Run it with --repair.',
  },
  changed: {
    meaning:
      'The store has another value than the one we wrote last: somebody changed it there, for example to rotate it.',
    repair:
      '`--accept`: the store’s value counts as the newest, and readers are told; `--restore`: our value becomes the current one again if the store still has it (else as `missing`)',
    remedy: 'Run it with --accept if the store’s value is right, with --restore if ours is.',
  },
  version: {
    meaning: 'The store has the recorded value under another version: somebody wrote it again.',
    repair: 'the recorded version becomes the current one again',
    remedy: 'Run it with --repair.',
  },
  replaced: {
    meaning:
      'The recorded version has another value: somebody deleted the secret in the store and made it anew.',
    repair: '`--accept`: as for `changed`',
    remedy:
      'Run it with --accept if the store’s value is right, else publish the entity again with its values.',
  },
  tags: {
    meaning: 'Our tags are missing, or name another connection or another installation.',
    repair:
      'the tags are put back if version and value are the recorded ones, or if none is recorded yet because the secret was adopted by reference; tags of another installation stay',
    remedy:
      'Run it with --repair. If the value has changed as well, decide about that first (--accept puts missing tags back). If the secret belongs to another installation: doctor says to which.',
  },
  orphan: {
    meaning:
      'The secret has the tags of a connection of this database, but the database has no record of it.',
    repair: 'retired, and deleted after the grace, if the database once recorded it for that connection',
    remedy: 'If nobody needs it, delete it in the store. After a restore from a backup, replay first.',
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
    meaning: 'A reference that a user typed names a secret that does not exist or that we may not read.',
    repair: null,
    remedy: 'Correct the reference in the entity, or make the secret.',
  },
  'foreign-reference': {
    meaning:
      'A field refers to a secret of another connection, or to a name under one of our prefixes: an earlier version accepted it. It is not published.',
    repair: null,
    remedy: 'Publish the entity with a value, or with a reference to a secret of its own.',
  },
  token: {
    meaning: 'No key of FERNET_KEY opens a sealed value or reference.',
    repair: null,
    remedy: 'Add the key that sealed it to FERNET_KEY.',
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
    remedy: 'Start a worker, which publishes it. If one is running, look at its log.',
  },
  denied: {
    meaning: 'The store denied access, so we could not look at the secret.',
    repair: null,
    remedy: 'Do what the detail says.',
  },
} as const satisfies Record<string, KindEntry>;

export type FindingKind = keyof typeof FINDING_KINDS;

/**
 * - `open`: nobody asked for a repair, or there is none
 * - `repaired`: it was repaired, and looked at again
 * - `lost`: nobody has the value any more, and it is recorded as lost
 * - `left`: the repair would not have been safe, or failed; run it again
 */
export type RepairState = 'open' | 'repaired' | 'lost' | 'left';

export interface Finding {
  readonly kind: FindingKind;
  readonly manager: ManagerName | null;
  readonly connectionId: string | null;
  readonly path: string | null;
  readonly secretId: string | null;
  /** Has names and versions, never values. */
  readonly detail: string;
  state: RepairState;
}

export function finding(
  kind: FindingKind,
  place: Partial<Pick<Finding, 'manager' | 'connectionId' | 'path' | 'secretId'>>,
  detail: string,
): Finding {
  const { manager = null, connectionId = null, path = null, secretId = null } = place;
  return { kind, manager, connectionId, path, secretId, detail, state: 'open' };
}

/** Whether nothing is left to do about a finding. */
export function isSettled({ state }: Finding): boolean {
  return state === 'repaired';
}
