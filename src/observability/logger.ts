import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { safeError } from './safe-error.js';
import { safeFields } from './safe-fields.js';

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
