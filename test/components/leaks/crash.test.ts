import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CANARY, findCanary } from '../../harness/canary.js';
import { startCli, tmpDir } from '../../harness/index.js';
import { localSetup } from '../cli/support.js';

/** Fails inside the running program, as soon as its handlers are there. */
const PRELOAD = `
const text = process.env.TEST_TEXT;
const timer = setInterval(() => {
  if (process.listenerCount('uncaughtException') === 0) return;
  clearInterval(timer);
  const cause = Object.assign(new Error(text), { sql: text });
  const error = Object.assign(new TypeError(text, { cause }), { body: text, list: [Buffer.from(text)], name: text });
  const several = new AggregateError([error], text, { cause: error });
  if (process.env.TEST_WAY === 'thrown') throw several;
  void Promise.reject(process.env.TEST_WAY === 'rejected' ? several : { text });
}, 5);
`;

const SLY = `${CANARY}\n    at ${CANARY} (/app/${CANARY}.js:1:1)`;

describe.each(['thrown', 'rejected', 'an object'])('a value in an error that nobody handles (%s)', (way) => {
  it.each([
    '',
    '--stack-trace-limit=100 --report-uncaught-exception --trace-uncaught --trace-warnings --unhandled-rejections=strict',
  ])('is neither printed nor written (NODE_OPTIONS=%s)', async (flags) => {
    const dir = tmpDir('crash');
    const preload = join(dir, 'preload.mjs');
    writeFileSync(preload, PRELOAD);
    const reports = tmpDir('reports');
    const program = startCli(['pipe'], {
      ...localSetup().env,
      TEST_TEXT: SLY,
      TEST_WAY: way,
      NODE_OPTIONS: `--import=${pathToFileURL(preload).href} ${flags} --report-directory=${reports}`,
    });
    const { code } = await program.waitForExit();
    expect(code).toBe(1);
    const last = program.stderr().trim().split('\n').at(-1) ?? '';
    expect(JSON.parse(last)).toMatchObject({ level: 'fatal' });
    expect(findCanary(program.stdout() + program.stderr())).toEqual([]);
    expect(readdirSync(reports)).toEqual([]);
  });
});
