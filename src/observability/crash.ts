import { writeSync } from 'node:fs';
import { safeError } from './logger.js';

export interface CrashHooks {
  /** Where the one line goes; default: standard error, at once. */
  readonly write?: (line: string) => void;
  readonly exit?: (code: number) => void;
}

/** The line of a crash: code or class and places, never a text that is not ours, never an object. */
export function crashLine(kind: 'uncaughtException' | 'unhandledRejection', error: unknown): string {
  const shown = safeError(error);
  // A WorkerError that nobody caught is a defect as well; its code is enough to find it.
  const what = 'code' in shown ? { code: shown.code } : shown;
  return JSON.stringify({ level: 'fatal', time: new Date().toISOString(), msg: kind, ...what });
}

/**
 * Ends the process with code 1 where nobody handled an error. Node's own output would print the error with its text and
 * its members.
 */
export function installCrashHandlers({ write = writeToStderr, exit = endProcess }: CrashHooks = {}): void {
  for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(kind, (error: unknown) => {
      write(crashLine(kind, error));
      exit(1);
    });
  }
}

function writeToStderr(line: string): void {
  try {
    writeSync(2, `${line}\n`);
  } catch {
    // Nobody reads it.
  }
}

function endProcess(code: number): void {
  process.exit(code);
}
