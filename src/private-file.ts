import { chmodSync, closeSync, openSync, statSync } from 'node:fs';

const OWNER_ONLY = 0o600;

/** Makes a file that its owner alone may read, whatever the umask is, or {@link tighten}s the one that exists. */
export function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY));
  tighten(file);
}

/** Takes the rights of all others to a file of ours. A file of another user, or none at all, stays as it is. */
export function tighten(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.uid !== process.getuid?.()) return;
  if ((found.mode & 0o777) !== OWNER_ONLY) chmodSync(file, OWNER_ONLY);
}

/** Whether users other than its owner have a right to this file. */
export function isOpenToOthers(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found !== undefined && process.getuid !== undefined && (found.mode & 0o077) !== 0;
}
