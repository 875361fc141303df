import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateKey } from '../../../src/fernet/index.js';
import { serviceEvent } from '../../e2e/fixture.js';
import {
  awsClients,
  disposeLater,
  freshName,
  queryDatabase,
  startCli,
  tmpDir,
  waitFor,
  type TestProcess,
} from '../../harness/index.js';
import { startAwsStandin, type AwsStandin } from '../../harness/aws-standin/index.js';
import { requireExecutable, runCommand } from '../../harness/run-command.js';
import { checkInvariants, describeViolations, publishedEvent, type CheckInput } from '../checker/index.js';
import { FAULT_TIMES, PATIENCE_MS, secretIdOf, withHook } from './rig.js';

const BASE_MS = 1_790_000_000_000;
/** A state that needs more room than what is left. */
const LARGE = 'x'.repeat(400_000);
/** Events of one connection each, whose large states do not fit. */
const CONNECTIONS = 6;
/** So values are in the store already when the commit fails. */
const ROOM_FOR_CLAIMS = 'a state has no room, its claim has';

/** A disk that takes no more, and its end. */
interface Disk {
  fill(): Promise<void>;
  free(): Promise<void>;
}

class PipeRig {
  readonly dir = tmpDir('full');
  readonly databaseFile = join(this.dir, 'worker.sqlite');
  readonly url = `sqlite:${this.databaseFile}`;
  readonly outFile = join(this.dir, 'out.ndjson');
  readonly fullFile = join(this.dir, 'full');
  readonly standin: AwsStandin;
  readonly #key = generateKey();
  readonly #events: ReturnType<typeof serviceEvent>[] = [];
  readonly #pipes: TestProcess[] = [];

  private constructor(standin: AwsStandin) {
    this.standin = standin;
  }

  static async open(): Promise<PipeRig> {
    const standin = await startAwsStandin();
    disposeLater(() => standin.close());
    return new PipeRig(standin);
  }

  start(): TestProcess {
    const { env } = awsClients(this.standin.url);
    const pipe = startCli(['pipe', '--out', this.outFile], {
      ...env,
      ...{ DATABASE_URL: this.url, FERNET_KEY: this.#key, SECRET_MANAGER: 'managed-aws', ...FAULT_TIMES },
      ...withHook('full.mjs', { DISK_FULL_FILE: this.fullFile }),
    });
    this.#pipes.push(pipe);
    return pipe;
  }

  /** The next state of a connection, as a line of the input; with a new password unless it is masked. */
  event(name: string, { isLarge = false, password = freshName('value') } = {}): string {
    const version = this.#events.filter(({ entityId }) => entityId === name).length + 1;
    const event = serviceEvent({
      ...{ id: name, name, password, version },
      timestampMs: BASE_MS + this.#events.length,
      eventType: version === 1 ? 'entityCreated' : 'entityUpdated',
    });
    Object.assign(event.entity, isLarge ? { description: LARGE } : {});
    this.#events.push(event);
    return `${JSON.stringify(event)}\n`;
  }

  lines(): string {
    return this.#events.map((event) => `${JSON.stringify(event)}\n`).join('');
  }

  /** Versions of what is applied, by connection; read by a process that sees only what is committed. */
  async versions(): Promise<Record<string, number>> {
    const rows = await queryDatabase(this, 'SELECT id, version FROM connection WHERE revision > 0');
    return Object.fromEntries(rows.map(({ id, version }) => [String(id), Number(version)]));
  }

  records(): number {
    return readFileSync(this.outFile, 'utf8').split('\n').length - 1;
  }

  async expectInvariants(): Promise<void> {
    const input: CheckInput = {
      published: this.#events.map((event) => publishedEvent(event)),
      databaseUrl: this.url,
      stores: { 'managed-aws': { kind: 'standin', url: this.standin.url } },
      secured: { kind: 'file', file: this.outFile },
      keys: [this.#key],
      logs: Object.fromEntries(this.#pipes.map((each, at) => [`pipe ${at}`, each.stdout() + each.stderr()])),
    };
    expect(describeViolations(await checkInvariants(input))).toBe('');
  }
}

/** SQLite itself has no page left: `spare` more of them, which claims fit into and large states do not. */
function pagesOf(rig: PipeRig, spare: number): Disk {
  return {
    fill: () => {
      writeFileSync(rig.fullFile, String(spare));
      return Promise.resolve();
    },
    free: () => {
      rmSync(rig.fullFile);
      return Promise.resolve();
    },
  };
}

/** The system takes no more bytes of the write-ahead log. */
function bytesOf(rig: PipeRig, { pid }: TestProcess): Disk {
  const prlimit = requireExecutable('prlimit', 'util-linux');
  const limit = async (bytes: number | 'unlimited'): Promise<void> => {
    await runCommand(prlimit, ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
  };
  return {
    fill: () => limit(statSync(`${rig.databaseFile}-wal`).size),
    free: () => limit('unlimited'),
  };
}

describe('the disk under the SQLite database of a pipe is full', () => {
  it.each<[string, string, (rig: PipeRig, pipe: TestProcess) => Disk]>([
    ['no page is left', 'SQLITE_FULL', (rig) => pagesOf(rig, 0)],
    [ROOM_FOR_CLAIMS, 'SQLITE_FULL', (rig) => pagesOf(rig, 30)],
    ['the system refuses a write', 'SQLITE_IOERR_WRITE', bytesOf],
  ])(
    '%s: nothing is half applied, all of it is when there is room again',
    async (title, driverCode, diskOf) => {
      const rig = await PipeRig.open();
      const pipe = rig.start();
      const names = Array.from({ length: CONNECTIONS }, () => freshName('full'));
      pipe.write(rig.event(names[0]!));
      await pipe.waitForLine('"applied"', { timeoutMs: PATIENCE_MS });
      const disk = diskOf(rig, pipe);
      await disk.fill();
      for (const name of names) pipe.write(rig.event(name, { isLarge: true }));
      pipe.write(rig.event(names[0]!, { password: '*********' }));
      const line = await pipe.waitForLine('"trying again"', { timeoutMs: PATIENCE_MS });
      expect(JSON.parse(line)).toMatchObject({ level: 'warn', code: 'DATABASE_UNAVAILABLE' });
      expect(line).toContain(driverCode);
      expect(await rig.versions()).toEqual({ [names[0]!]: 1 });
      expect(rig.records()).toBe(1);
      if (title === ROOM_FOR_CLAIMS) {
        await waitFor(() => rig.standin.secrets().length > 1, {
          what: 'a store write whose state has no room',
          timeoutMs: PATIENCE_MS,
        });
        expect(await rig.versions()).toEqual({ [names[0]!]: 1 });
      }

      await disk.free();
      await waitFor(async () => Object.keys(await rig.versions()).length === CONNECTIONS, {
        what: 'every connection',
        timeoutMs: PATIENCE_MS,
      });
      pipe.end(rig.event(names[1]!));
      expect(await pipe.waitForExit(PATIENCE_MS), pipe.stderr()).toEqual({ code: 0, signal: null });
      expect(await rig.versions()).toMatchObject({ [names[0]!]: 3, [names[1]!]: 2 });
      await rig.expectInvariants();
      expect(
        rig.standin
          .secrets()
          .map(({ secretId }) => secretId)
          .toSorted(),
      ).toEqual(names.map(secretIdOf).toSorted());

      // The same input once more: all of it is known.
      const again = rig.start();
      again.end(rig.lines());
      expect((await again.waitForExit(PATIENCE_MS)).code).toBe(0);
      const summary = again
        .stderr()
        .split('\n')
        .find((text) => text.includes('"pipe done"'));
      expect(JSON.parse(summary ?? '{}')).toMatchObject({ duplicate: CONNECTIONS + 3 });
    },
  );
});
