import { hostname, userInfo } from 'node:os';

/** The form of AUDIT_ACTOR and `--actor`: no character that controls a terminal or breaks a line. */
export const ACTOR_NAME = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{1,100}$/u;
export const ACTOR_FORM = 'a name of 1 to 100 characters, none of them a control character';

/** The part of the configuration with AUDIT_ACTOR; null if that is unset. */
interface Named {
  readonly audit: { readonly actor: string | null };
}

/**
 * Who runs a command, for the audit: `cli:` and AUDIT_ACTOR, else the user of this machine. A container's user may have only
 * a number: `cli:uid-1000`.
 */
export function operatorName({ audit: { actor } }: Named): string {
  return `cli:${actor ?? userName()}`;
}

/** Who runs which command where: `cli:USER on HOST, connection-secrets start`. No flags: they may quote a value. */
export function changedBy(config: Named, command: string): string {
  return `${operatorName(config)} on ${hostname()}, connection-secrets ${command}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
