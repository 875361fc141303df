import { WorkerError } from '../errors.js';

/** What may be shown of an error. */
export type SafeError =
  | { readonly code: string; readonly message: string }
  /** Not one of ours: its text may quote a value. */
  | { readonly name: string; readonly frames: readonly string[] };

const MAX_FRAMES = 12;
/** What {@link safeError} has made: harmless by its making, which a look at its members cannot tell. */
const MADE_HERE = new WeakSet<object>();
const CLASS_NAME = /^[A-Za-z_$][\w$]{0,79}$/;
/** `at name (file:line:column)` as V8 writes it; the place must look like one. */
const FRAME =
  /^\s+at (?:(?:async |new )*[\w$.<>#[\] ]{1,200} \()?(?:file:\/\/|node:|\/|[A-Za-z]:\\)[^\n]{1,400}:\d+:\d+\)?$/;

/**
 * An error as it may be logged: of ours code and message (names and limits by their rule), of anybody else's the class
 * and the places in the code. Messages of drivers, SDKs and parsers quote what they were given.
 */
export function safeError(error: unknown): SafeError {
  const shown =
    error instanceof WorkerError
      ? { code: error.code, message: error.message }
      : { name: classNameOf(error), frames: framesOf(error) };
  MADE_HERE.add(shown);
  return shown;
}

/** Whether this very object came out of {@link safeError}. */
export function isSafeError(value: object): value is SafeError {
  return MADE_HERE.has(value);
}

/** The code, or for a stranger's error its class: a label with few values. */
export function errorLabel(error: unknown): string {
  return error instanceof WorkerError ? error.code : classNameOf(error);
}

/** The name of its class. `error.name` can be set to anything, a constructor's name is in the code. */
function classNameOf(error: unknown): string {
  if (!(error instanceof Error)) return error === null ? 'null' : typeof error;
  const { constructor } = error as { constructor?: unknown };
  const name = typeof constructor === 'function' ? constructor.name : 'Error';
  return CLASS_NAME.test(name) ? name : 'Error';
}

/** The stack without its head: a message may have several lines, also ones that look like places. */
function framesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return [];
  const { stack, message } = error;
  const end = message === '' ? -1 : stack.indexOf(message);
  // A message that was changed after the stack was taken is not found in it: then nothing can be told apart.
  if (message !== '' && end === -1) return [];
  const rest = end === -1 ? stack : stack.slice(end + message.length);
  return rest
    .split('\n')
    .filter((line) => FRAME.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim());
}
