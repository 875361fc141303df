import { hostname, userInfo } from 'node:os';

/** Who runs this process, as the audit names him: `cli:USER`. A container's user may only have a number: `cli:uid-1000`. */
export function operatorName(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    return `cli:uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

/** Who, where and by which command: `cli:USER on HOST, connection-secrets start`. No flags: they may quote a value. */
export function changedBy(command: string): string {
  return `${operatorName()} on ${hostname()}, connection-secrets ${command}`;
}
