import type { Evidence } from './evidence.js';
import type { Violation } from './types.js';

/** Invariant 5: whatever carries our tag in a store has its row, of the same connection and not as gone. */
export function judgeStores({ database, stores }: Evidence): Violation[] {
  const violations: Violation[] = [];
  const rows = new Map(database.stored.map((row) => [`${row.manager} ${row.secretId}`, row]));
  const used = new Set(database.references.map(({ secretId }) => secretId));
  const report = (kind: string, connection: string | null, what: string): void => {
    violations.push({ invariant: 5, kind, connection, what });
  };
  for (const [manager, secrets] of stores)
    for (const { secretId, owner, isGone } of secrets?.values() ?? []) {
      if (owner === null || isGone) continue;
      const row = rows.get(`${manager} ${secretId}`);
      if (row === undefined)
        report('secret-unknown', owner, `the database does not know ${secretId} (${manager})`);
      else if (row.state === 'deleted')
        report('secret-deleted', owner, `the database takes ${secretId} (${manager}) for deleted`);
      else if (row.connectionId !== owner)
        report('secret-owner', owner, `the database says ${secretId} is of ${row.connectionId}`);
    }
  for (const { state, secretId, connectionId } of database.stored)
    if (state === 'live' && !used.has(secretId))
      report('secret-unused', connectionId, `${secretId} is live, but no field refers to it`);
  return violations;
}
