import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import { createLogger, errorLabel, safeError } from '../../../src/observability/index.js';
import { SecretValue } from '../../../src/secret-value.js';

const MARKER = 'c4n4ry-value';

function loggerWithLines(level = 'trace') {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  return { logger: createLogger({ level, to: 'stdout', stream }), lines };
}

class Row {
  readonly password = MARKER;
  readonly note = MARKER;
}

describe('the logger', () => {
  it('writes ids, counts and words as one JSON line', () => {
    const { logger, lines } = loggerWithLines();
    logger.info({ topic: 'a', offset: 3, code: null, topics: ['a', 'b'], isLast: true }, 'event');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      topic: 'a',
      offset: 3,
      code: null,
      topics: ['a', 'b'],
      isLast: true,
      msg: 'event',
    });
  });

  it('writes code and message of our errors, class and places of others', () => {
    const { logger, lines } = loggerWithLines();
    logger.warn({ error: new WorkerError('STORE_UNAVAILABLE', 'local: busy') }, 'a');
    logger.warn({ error: new TypeError(MARKER) }, 'b');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      error: { code: 'STORE_UNAVAILABLE', message: 'local: busy' },
    });
    expect(JSON.parse(lines[1]!)).toMatchObject({ error: { name: 'TypeError' } });
    expect(lines[1]).toContain('logger.test.ts');
  });

  it('shows what safeError has made: of our errors, of others, and of values that are no errors', () => {
    const { logger, lines } = loggerWithLines();
    logger.fatal({ what: 'x', error: safeError(new WorkerError('INTERNAL', 'the consumer stopped')) }, 'a');
    logger.fatal({ error: safeError(new TypeError(MARKER)) }, 'b');
    logger.fatal({ error: safeError(MARKER) }, 'c');
    logger.fatal(new WorkerError('INTERNAL', 'the consumer stopped'));
    const [ours, theirs, none, alone] = lines.map((line) => JSON.parse(line) as object);
    expect(ours).toMatchObject({ error: { code: 'INTERNAL', message: 'the consumer stopped' } });
    expect(theirs).toMatchObject({ error: { name: 'TypeError', frames: expect.any(Array) as string[] } });
    expect(none).toMatchObject({ error: { name: 'string', frames: [] } });
    expect(alone).toMatchObject({ error: { code: 'INTERNAL', message: 'the consumer stopped' } });
    expect(lines.join('')).not.toContain(MARKER);
  });

  it('hides the texts of objects that only look like an error', () => {
    const { logger, lines } = loggerWithLines();
    logger.warn({ error: { code: MARKER, message: MARKER } }, 'a');
    expect(lines.join('')).not.toContain(MARKER);
  });

  const strangers: readonly { title: string; given: object }[] = [
    { title: 'a foreign error', given: new Error(MARKER) },
    { title: 'an error as a field', given: { error: new Error(MARKER, { cause: new Error(MARKER) }) } },
    { title: 'an error as another field', given: { err: new Error(MARKER), cause: new RangeError(MARKER) } },
    {
      title: 'an error with members',
      given: { error: Object.assign(new Error('x'), { body: MARKER, name: MARKER }) },
    },
    { title: 'a password', given: { password: MARKER, apiKey: MARKER, tokens: [MARKER] } },
    { title: 'an entity', given: { entity: { connection: { config: { username: MARKER } } } } },
    { title: 'a list of objects', given: { rows: [{ value: MARKER }, [[MARKER]]] } },
    { title: 'an instance', given: { row: new Row(), value: new SecretValue(MARKER) } },
    { title: 'bytes', given: { payload: Buffer.from(MARKER), map: new Map([[MARKER, MARKER]]) } },
    { title: 'an object that converts itself', given: { thing: { toJSON: () => MARKER } } },
    { title: 'an instance as the fields', given: { nested: { nested: { nested: new Row() } } } },
  ];
  it.each(strangers)('shows no value of $title, at any level, also in a child', ({ given }) => {
    const { logger, lines } = loggerWithLines();
    for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) {
      logger[level](given, 'text');
      logger[level](given);
      // pino's types know that this text takes no argument.
      (logger[level] as (text: string, further: object) => void).call(logger, 'text', given);
      logger.child({ bound: given }).info('text');
    }
    expect(lines.length).toBeGreaterThan(20);
    expect(lines.join('')).not.toContain(MARKER);
  });

  it('never shows a text below the top of the fields, whatever the object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.object({ values: [fc.constant(MARKER)] })), (given) => {
        const { logger, lines } = loggerWithLines();
        logger.info({ given }, 'text');
        expect(lines.join('')).not.toContain(`"${MARKER}"`);
      }),
    );
  });

  it('keeps quiet below its level', () => {
    const { logger, lines } = loggerWithLines('warn');
    logger.info('no');
    expect(lines).toEqual([]);
  });
});

describe('safeError', () => {
  it('shows only the frames of a stack, whatever the message looks like', () => {
    const sly = new Error(`first ${MARKER}\n    at ${MARKER} (/app/x.js:1:1)\nlast`);
    const shown = safeError(sly);
    expect(JSON.stringify(shown)).not.toContain(MARKER);
    expect(shown).toMatchObject({ name: 'Error' });
    expect('frames' in shown && shown.frames.length).toBeGreaterThan(0);
  });

  it('shows no frames if the message was changed later', () => {
    const changed = new Error(`at f (/${MARKER}:1:1)`);
    expect(changed.stack).toContain(MARKER);
    changed.message = 'other';
    expect(safeError(changed)).toEqual({ name: 'Error', frames: [] });
  });

  it('names values that are no errors by their type', () => {
    expect([MARKER, 1, null, undefined, { a: MARKER }].map(errorLabel)).toEqual([
      'string',
      'number',
      'null',
      'undefined',
      'object',
    ]);
  });
});
