import { writeSync } from 'node:fs';
import { safeError } from './logger.js';

interface CrashHooks {
  /** Writes the line; default: to standard error, synchronously. */
  readonly write?: (line: string) => void;
  readonly exit?: (code: number) => void;
}

/** The log line of a crash: our code, or the class and stack frames. Never the text of an error that is not ours. */
export function crashLine(kind: 'uncaughtException' | 'unhandledRejection', error: unknown): string {
  const shown = safeError(error);
  // An uncaught WorkerError is a defect too; its code is enough to find it.
  const what = 'code' in shown ? { code: shown.code } : shown;
  return JSON.stringify({ level: 'fatal', time: new Date().toISOString(), msg: kind, ...what });
}

/**
 * Ends the process with exit code 1 after an uncaught error. Node.js itself would print the error with its text and members.
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
    // Standard error is closed: the line cannot be written anywhere.
  }
}

function endProcess(code: number): void {
  process.exit(code);
}
