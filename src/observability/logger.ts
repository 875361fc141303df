import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { meaningOfKey } from '../catalog/key-names.js';
import { WorkerError } from '../errors.js';

const HIDDEN = '[hidden]';
const MAX_TEXT = 1_000;
const MAX_ELEMENTS = 100;
const MAX_DEPTH = 2;

type Shown = null | boolean | number | string | Shown[] | { [key: string]: Shown };

/**
 * The fields of a log line, made harmless: whatever object gets there by accident, no value comes out. Numbers and
 * flags are shown, texts only at the top and under keys that do not name a secret, errors as {@link safeError}; texts
 * deeper inside of an object (an event, a row, a request) are hidden, instances of classes are named.
 */
function safeFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, show(key, value, 0)]));
}

function show(key: string, value: unknown, depth: number): Shown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
      return value;
    case 'string':
      return depth === 0 && meaningOfKey(key) === 'plain' ? value.slice(0, MAX_TEXT) : HIDDEN;
    case 'object':
      return value === null ? null : showObject(key, value, depth);
    case 'undefined':
      return null;
    default:
      return `[${typeof value}]`;
  }
}

function showObject(key: string, value: object, depth: number): Shown {
  if (value instanceof Error) return { ...safeError(value) } as Shown;
  if (isSafeError(value)) return { ...value } as Shown;
  if (Array.isArray(value)) {
    if (meaningOfKey(key) !== 'plain') return HIDDEN;
    return value
      .slice(0, MAX_ELEMENTS)
      .map((element: unknown) => show(key, element, Array.isArray(element) ? MAX_DEPTH : depth));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return '[object]';
  if (depth >= MAX_DEPTH) return '[object]';
  return Object.fromEntries(
    Object.entries(value).map(([member, inner]) => [member, show(member, inner, depth + 1)]),
  );
}

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
function isSafeError(value: object): value is SafeError {
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

export type { Logger } from 'pino';

export interface LoggerOptions {
  readonly level: string;
  /** `stdout` (default) for a service, `stderr` where standard output is for results. */
  readonly to?: 'stdout' | 'stderr';
  /** In place of it, for tests. */
  readonly stream?: DestinationStream;
}

/**
 * JSON lines, written at once (a crash must not take the last lines along). Every field goes through
 * {@link safeFields}, at every level; of an error that is not ours the text is not shown.
 */
export function createLogger({ level, to = 'stdout', stream }: LoggerOptions): Logger {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      errorKey: 'error',
      formatters: {
        level: (label) => ({ level: label }),
        log: safeFields,
      },
      // pino's own would show the text of an error.
      serializers: { error: asIs, err: asIs },
      hooks: {
        logMethod(given, method) {
          const [first, second] = given as readonly unknown[];
          // pino takes an error's text as the message, and puts further arguments into it: neither may happen.
          if (typeof first === 'string') method.apply(this, [{}, first]);
          else method.apply(this, [fieldsOf(first), typeof second === 'string' ? second : 'no message']);
        },
      },
    },
    stream ?? destination({ fd: to === 'stdout' ? 1 : 2, sync: true }),
  );
  guardChildren(logger);
  return logger;
}

/** pino drops the formatter of bindings for children. They inherit this, and so do theirs. */
function guardChildren(logger: Logger): void {
  const child: unknown = Reflect.get(logger, 'child');
  if (typeof child !== 'function') return;
  Object.defineProperty(logger, 'child', {
    value(this: Logger, bindings: object, options?: object): unknown {
      return Reflect.apply(child, this, [safeFields(bindings), options]);
    },
  });
}

const asIs = (value: unknown): unknown => value;

function fieldsOf(first: unknown): object {
  if (first instanceof Error) return { error: safeError(first) };
  return typeof first === 'object' && first !== null ? first : {};
}
