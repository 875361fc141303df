import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  createDatabase,
  freePort,
  freshName,
  HopelessError,
  PROJECT_DIR,
  queryDatabase,
  startProcess,
  tmpDir,
  waitFor,
} from '../../harness/index.js';
import { cached, isAlive, withLock } from '../../harness/cache.js';
import { partsAreRequired, wantedParts } from '../../harness/names.js';
import { runCommand } from '../../harness/run-command.js';

const NODE = process.execPath;
/** Never ends by itself. */
const FOREVER = 'setInterval(() => {}, 1000)';

describe('waitFor', () => {
  it('returns the first truthy value', async () => {
    let looks = 0;
    const value = await waitFor(() => (++looks < 3 ? null : { looks }), {
      what: 'three looks',
      intervalMs: 1,
    });
    expect(value).toEqual({ looks: 3 });
  });

  it('says what it waited for and what it saw last', async () => {
    const never = waitFor(() => false, { what: 'the moon', timeoutMs: 10, intervalMs: 1 });
    await expect(never).rejects.toThrow('Waited 10 ms without success for the moon; last value: false');
  });

  it('looks again after an error and names the last one', async () => {
    const failing = waitFor(() => Promise.reject(new Error('no moon')), {
      what: 'the moon',
      timeoutMs: 10,
      intervalMs: 1,
    });
    await expect(failing).rejects.toThrow('last error: no moon');
  });

  it('does not look again after a HopelessError', async () => {
    const failing = waitFor(() => Promise.reject(new HopelessError('no sky')), { what: 'the moon' });
    await expect(failing).rejects.toThrow(/^no sky$/);
  });
});

describe('the choice of parts', () => {
  it('takes all, some or none', () => {
    expect(wantedParts({})).toEqual(['kafka', 'postgres', 'mariadb', 'moto']);
    expect(wantedParts({ TEST_PARTS_ONLY: 'moto, kafka' })).toEqual(['moto', 'kafka']);
    expect(wantedParts({ TEST_PARTS_ONLY: 'none' })).toEqual([]);
    expect(() => wantedParts({ TEST_PARTS_ONLY: 'kafak' })).toThrow('names "kafak"');
  });

  it('requires them on a build server only', () => {
    expect(partsAreRequired({})).toBe(false);
    expect(partsAreRequired({ CI: 'true' })).toBe(true);
  });
});

describe('the cache', () => {
  it('fills a folder once, even if asked twice at the same time', async () => {
    const dir = tmpDir();
    let fills = 0;
    const fill = async (folder: string): Promise<void> => {
      fills += 1;
      writeFileSync(join(folder, 'file'), 'content');
    };
    const folders = await Promise.all([cached('thing-1', fill, dir), cached('thing-1', fill, dir)]);
    expect(fills).toBe(1);
    expect(readFileSync(join(folders[1], 'file'), 'utf8')).toBe('content');
  });

  it('fills a folder anew after a failure', async () => {
    const dir = tmpDir();
    const failing = cached(
      'thing-1',
      async (folder) => {
        mkdirSync(join(folder, 'half'));
        throw new Error('cut off');
      },
      dir,
    );
    await expect(failing).rejects.toThrow('cut off');
    const folder = await cached('thing-1', async () => undefined, dir);
    expect(existsSync(join(folder, 'half'))).toBe(false);
  });

  it('takes the lock of a process that is gone', async () => {
    const lock = join(tmpDir(), 'lock');
    const gone = startProcess({ command: NODE, args: ['-e', ''] });
    await gone.waitForExit();
    writeFileSync(lock, String(gone.pid));
    await expect(withLock(lock, async () => 'done')).resolves.toBe('done');
  });
});

describe('startProcess', () => {
  it('captures both streams and the exit code', async () => {
    const child = startProcess({
      command: NODE,
      args: ['-e', 'console.log("out"); console.error("err"); process.exit(3)'],
    });
    expect(await child.waitForExit()).toEqual({ code: 3, signal: null });
    expect([child.stdout(), child.stderr()]).toEqual(['out\n', 'err\n']);
  });

  it('passes on only what programs need of our environment', async () => {
    process.env.HARNESS_CANARY = 'seen';
    const child = startProcess({
      command: NODE,
      args: ['-e', 'console.log(JSON.stringify(process.env))'],
      env: { GIVEN: 'yes' },
    });
    await child.waitForExit();
    expect(child.stdout()).toContain('"GIVEN":"yes"');
    expect(child.stdout()).not.toContain('HARNESS_CANARY');
  });

  it('finds a line, and fails at once when the process ended without it', async () => {
    const child = startProcess({ command: NODE, args: ['-e', 'console.log("one\\ntwo")'] });
    expect(await child.waitForLine(/^t/)).toBe('two');
    await expect(child.waitForLine('three')).rejects.toThrow('It ended before a line three');
  });

  it('stops, continues and kills', async () => {
    const child = startProcess({ command: NODE, args: ['-e', `setInterval(() => console.log('tick'), 20)`] });
    await child.waitForLine('tick');
    child.suspend();
    await waitFor(() => processState(child.pid) === 'T', { what: 'a stopped process' });
    child.resume();
    const seen = child.lineCount();
    await child.waitForLine('tick', { from: seen });
    child.kill();
    expect(await child.waitForExit()).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('passes standard input on', async () => {
    const child = startProcess({ command: 'cat' });
    child.end('hello');
    expect((await child.waitForExit()).code).toBe(0);
    expect(child.stdout()).toBe('hello');
  });

  it('names a program that does not exist', async () => {
    const child = startProcess({ command: 'no-such-program-of-this-name' });
    await expect(child.waitForExit(5_000)).rejects.toThrow('ENOENT');
  });

  it('ends a process together with its children', async () => {
    const script = `const c = require('child_process').spawn(process.execPath, ['-e', '${FOREVER}']); console.log('pid ' + c.pid); ${FOREVER}`;
    const child = startProcess({ command: NODE, args: ['-e', script] });
    const grandchild = Number((await child.waitForLine('pid ')).slice(4));
    await child.dispose();
    await waitFor(() => !isAlive(grandchild), { what: 'the end of the grandchild' });
  });
});

describe('the reaper', () => {
  it('ends processes and removes folders of a parent that was killed', async () => {
    const dir = join(tmpDir(), 'kept');
    mkdirSync(dir);
    const reaper = join(PROJECT_DIR, 'test/harness/reaper.ts');
    const script = `
      import { spawn } from 'node:child_process';
      import { keep } from ${JSON.stringify(reaper)};
      const child = spawn(process.execPath, ['-e', '${FOREVER}'], { detached: true, stdio: 'ignore' });
      keep({ group: child.pid });
      keep({ dir: ${JSON.stringify(dir)} });
      console.log('child ' + child.pid);
      ${FOREVER};`;
    const file = join(tmpDir(), 'parent.mts');
    writeFileSync(file, script);
    const tsx = join(PROJECT_DIR, 'node_modules/tsx/dist/loader.mjs');
    const parent = startProcess({ command: NODE, args: ['--import', tsx, file] });
    const child = Number((await parent.waitForLine('child ')).slice(6));
    expect(isAlive(child)).toBe(true);
    process.kill(parent.pid, 'SIGKILL');
    await waitFor(() => !isAlive(child), { what: 'the end of the orphan' });
    await waitFor(() => !existsSync(dir), { what: 'the folder to be removed' });
  });
});

describe('small things', () => {
  it('gives ports that a server can listen on', async () => {
    const port = await freePort();
    const child = spawn(NODE, [
      '-e',
      `require('net').createServer().listen(${port}, '127.0.0.1', () => process.exit(0))`,
    ]);
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(0);
  });

  it('gives a new name each time', () => {
    expect(freshName('a')).toMatch(/^a-[0-9a-f]{10}$/);
    expect(freshName('a')).not.toBe(freshName('a'));
  });

  it('fails with the last lines of a tool', async () => {
    const failing = runCommand(NODE, ['-e', 'console.error("it was the cable"); process.exit(4)']);
    await expect(failing).rejects.toThrow(/ended with code 4: it was the cable/);
  });

  it('makes SQLite databases', async () => {
    const database = await createDatabase('sqlite');
    const { default: Sqlite } = await import('better-sqlite3');
    new Sqlite(database.url.slice('sqlite:'.length)).exec('CREATE TABLE t AS SELECT 1 AS a').close();
    expect(await queryDatabase(database, 'SELECT a FROM t')).toEqual([{ a: 1 }]);
  });
});

/** `T` for a stopped process, as `ps` says it. */
function processState(pid: number): string | undefined {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
}
