import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { meaningOfKey } from '../catalog/key-names.js';
import { WorkerError } from '../errors.js';

const HIDDEN = '[hidden]';
const MAX_TEXT = 1_000;
const MAX_ELEMENTS = 100;
const MAX_DEPTH = 2;

type Shown = null | boolean | number | string | Shown[] | { [key: string]: Shown };

/**
 * Makes the fields of a log line safe: even if an object gets there by accident, the line shows no value. It shows numbers
 * and flags, texts only at the top level under keys that do not name a secret, and errors as {@link safeError}. It hides
 * texts deeper in an object (an event, a row, a request) and instances of classes.
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

/** The parts of an error that may be shown. */
export type SafeError =
  | { readonly code: string; readonly message: string }
  /** Of an error that is not ours, because its text may quote a value. */
  | { readonly name: string; readonly frames: readonly string[] };

const MAX_FRAMES = 12;
/** The objects that {@link safeError} has made: only they are known to be safe, whatever their members look like. */
const MADE_HERE = new WeakSet<object>();
const CLASS_NAME = /^[A-Za-z_$][\w$]{0,79}$/;
/** V8's `at name (file:line:column)`; the place must look like one. */
const FRAME =
  /^\s+at (?:(?:async |new )*[\w$.<>#[\] ]{1,200} \()?(?:file:\/\/|node:|\/|[A-Za-z]:\\)[^\n]{1,400}:\d+:\d+\)?$/;

/**
 * The parts of an error that may be logged: the code and message of our errors, which never hold values; the class and
 * stack frames of all others. Messages of drivers, SDKs and parsers quote what they were given.
 */
export function safeError(error: unknown): SafeError {
  const shown =
    error instanceof WorkerError
      ? { code: error.code, message: error.message }
      : { name: classNameOf(error), frames: framesOf(error) };
  MADE_HERE.add(shown);
  return shown;
}

/** Whether {@link safeError} has made this very object. */
function isSafeError(value: object): value is SafeError {
  return MADE_HERE.has(value);
}

/** The code of our error, or the class of another one: a label with few values. */
export function errorLabel(error: unknown): string {
  return error instanceof WorkerError ? error.code : classNameOf(error);
}

/** The name of the error's class, from its constructor: anybody can set `error.name`. */
function classNameOf(error: unknown): string {
  if (!(error instanceof Error)) return error === null ? 'null' : typeof error;
  const { constructor } = error as { constructor?: unknown };
  const name = typeof constructor === 'function' ? constructor.name : 'Error';
  return CLASS_NAME.test(name) ? name : 'Error';
}

/** The stack without the message: that may have lines which look like stack frames. */
function framesOf(error: unknown): readonly string[] {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return [];
  const { stack, message } = error;
  const end = message === '' ? -1 : stack.indexOf(message);
  // If the message was changed after the stack was captured, we cannot tell it from the frames.
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
  /** `stdout` (default) for a service; `stderr` if standard output is for results. */
  readonly to?: 'stdout' | 'stderr';
  /** A stream instead of `to`, for tests. */
  readonly stream?: DestinationStream;
}

/**
 * Logs JSON lines, synchronously: a crash must not lose the last lines. Every field goes through {@link safeFields}, and
 * the text of an error that is not ours is never shown.
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
      // pino's own serializers would show the text of an error.
      serializers: { error: asIs, err: asIs },
      hooks: {
        logMethod(given, method) {
          const [first, second] = given as readonly unknown[];
          // pino would take an error's text as the message, and put further arguments into it. We allow neither.
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

/** pino does not format the bindings of child loggers. Every child, also of a child, inherits this one. */
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
