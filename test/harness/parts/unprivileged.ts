import { readFileSync } from 'node:fs';
import type { Owner } from './local-part.js';

/**
 * The user for a server that refuses to run as root: the first of `names` that the system has. Undefined if we are not
 * root, because the server can run as our own user then.
 */
export function unprivilegedOwner(names: readonly string[]): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of names) {
    const user = users.find((fields) => fields[0] === name);
    if (user !== undefined) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new Error(`this server does not run as root, and there is no user ${names.join(' or ')}`);
}
