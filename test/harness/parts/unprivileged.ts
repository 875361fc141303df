import { readFileSync } from 'node:fs';
import type { Owner } from './local-part.js';

/**
 * Whom a server runs as that refuses to run as root: the first of `names` that the system knows. Undefined where we are
 * not root: then it runs as ourselves.
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
