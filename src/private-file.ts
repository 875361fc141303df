import { chmodSync, closeSync, openSync, statSync } from 'node:fs';

const OWNER_ONLY = 0o600;

/** Creates a file that only its owner may read, whatever the umask is, or {@link tighten}s an existing one. */
export function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY));
  tighten(file);
}

/** Removes the rights of all other users to our file. Does nothing if there is no file, or another user owns it. */
export function tighten(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.uid !== process.getuid?.()) return;
  if ((found.mode & 0o777) !== OWNER_ONLY) chmodSync(file, OWNER_ONLY);
}

/** Whether other users than its owner have rights to this file. */
export function isOpenToOthers(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found !== undefined && process.getuid !== undefined && (found.mode & 0o077) !== 0;
}
