import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../../src/cli/cli.js';
import { runProgram } from '../../../src/cli/program.js';
import { CANARY, KEY, MINIMUM, WRONG } from '../config/wrong-settings.js';

describe('start with a wrong setting ends with 2 and names it', () => {
  it.each(WRONG)('%s=%s', async (name, text, _, others = {}) => {
    const stderr = new PassThrough();
    const env = { ...MINIMUM, ...others, [name]: text };
    const cli = { env, stdin: new PassThrough(), stdout: new PassThrough(), stderr };
    expect(await runProgram(['start'], cli)).toBe(EXIT.usage);
    const shown = (stderr.read() as Buffer).toString();
    expect(shown).toContain('CONFIG_INVALID');
    expect(shown).toContain(name);
    expect(shown).not.toContain(CANARY);
    expect(shown).not.toContain(KEY);
  });
});
