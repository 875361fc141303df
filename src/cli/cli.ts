import type { Readable, Writable } from 'node:stream';

/** The program's name, as it is called. */
export const PROGRAM = 'connection-secrets';

/** What a command's end means; docs/cli.md. */
export const EXIT = {
  ok: 0,
  /** It could not be done. */
  failed: 1,
  /** Wrong use or configuration. */
  usage: 2,
  /** `pipe`: some lines became dead letters, all others are applied. */
  deadLetters: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What a command has of the process around it. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export function isTerminal(stream: Readable | Writable): boolean {
  return 'isTTY' in stream && stream.isTTY === true;
}
