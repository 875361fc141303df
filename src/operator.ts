import { hostname, userInfo } from 'node:os';

/** What AUDIT_ACTOR and `--actor` take: what steers a terminal or breaks a line is no part of a name. */
export const ACTOR_NAME = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{1,100}$/u;
export const ACTOR_FORM = 'a name of 1 to 100 characters, none of them a control character';

/** Of the configuration: AUDIT_ACTOR; null where it is unset. */
interface Named {
  readonly audit: { readonly actor: string | null };
}

/**
 * Who does what a command does, as the audit names him: `cli:` and AUDIT_ACTOR, else the user of this machine. A container's
 * user may only have a number: `cli:uid-1000`.
 */
export function operatorName({ audit: { actor } }: Named): string {
  return `cli:${actor ?? userName()}`;
}

/** Who, where and by which command: `cli:USER on HOST, connection-secrets start`. No flags: they may quote a value. */
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
