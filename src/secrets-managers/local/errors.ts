import { failure, type Failure } from '../port.js';

/** Only the name of an error goes on: SQLite's texts can quote statements. */
export function vaultFailure(error: unknown): Failure {
  const name = codeOf(error);
  const message = `local: the vault file failed with ${name}`;
  if (/^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)|^(EACCES|EPERM)$/.test(name)) return failure('access', message);
  const applied = name.startsWith('SQLITE_IOERR') ? 'unknown' : 'no';
  return failure('transient', message, { applied });
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'an unknown error';
}

/** Whether it is the file that failed; anything else is a defect and is thrown on. */
export function isVaultError(error: unknown): boolean {
  return /^(SQLITE_|E[A-Z]+$)/.test(codeOf(error));
}
