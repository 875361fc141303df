import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unpackRecord, packRecord } from '../../src/events/dead-letter.js';
import { parsePipeLine } from '../../src/events/pipe-line.js';
import type { PlanContext } from '../../src/pipeline/context.js';
import type { LockedState } from '../../src/pipeline/ledger.js';
import type { SourceRecord } from '../../src/terms.js';
import { judge, type Verdict } from './oracle.js';
import { Random } from './random.js';
import { NOW_MS, TOPICS } from './samples.js';
import { startWatchdog } from './watchdog.js';

/** What failed once, each run again in every way: records as `packRecord` writes them, lines as they are. */
const CORPUS = fileURLToPath(new URL('corpus', import.meta.url));
/** No record may take longer, however busy the machine is. */
const CASE_LIMIT_MS = 5_000;

/** A record, or the line of a pipe that it is to be made of. */
export type Input = SourceRecord | Buffer;

/** Where a case happens: the configuration, and what is known of the connection. */
export interface Scene {
  readonly context: PlanContext;
  readonly before: LockedState | null;
}

export interface FuzzResult {
  readonly cases: number;
  /** Cases by outcome and code. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Cases with a text that must not come out. */
  readonly withSecrets: number;
  readonly slowestMs: number;
}

/** The seed of this run: `TEST_SEED`, else another one every time. A case is its seed and its number. */
export const SEED = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
/** Cases of a test, as a part of what CI runs: `TEST_FUZZ=10` runs ten times as many. */
export const FACTOR = Number(process.env.TEST_FUZZ ?? 1);

/**
 * Makes `cases` records and judges each. One that fails is written into the corpus, and thrown with what repeats it.
 */
export function fuzz(
  name: string,
  cases: number,
  make: (random: Random) => { input: Input; scene: Scene },
): FuzzResult {
  const outcomes = new Map<string, number>();
  let withSecrets = 0;
  let slowestMs = 0;
  const watchdog = startWatchdog(`${name}, TEST_SEED=${SEED}`);
  const { stackTraceLimit } = Error;
  // Most of the time would go into the stacks of refusals.
  Error.stackTraceLimit = 2;
  try {
    for (let number = 0; number < cases; number += 1) {
      watchdog.at(number);
      const { input, scene } = make(new Random(SEED + number * 7_919));
      const startedMs = performance.now();
      const verdict = judged(input, scene, `${name}: case ${number} of TEST_SEED=${SEED}`);
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      const key = `${verdict.outcome} ${verdict.code ?? ''}`.trim();
      outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
      if (verdict.hidden > 0) withSecrets += 1;
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    watchdog.stop();
  }
  if (slowestMs > CASE_LIMIT_MS) throw new Error(`${name}: a case took ${Math.round(slowestMs)} ms`);
  return { cases, outcomes, withSecrets, slowestMs };
}

function judged(input: Input, scene: Scene, what: string): Verdict {
  try {
    return judgeInput(input, scene);
  } catch (error) {
    const file = keep(input);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${what}: ${reason} (kept as ${file})`, { cause: error });
  }
}

export function judgeInput(input: Input, { context, before }: Scene): Verdict {
  if (!Buffer.isBuffer(input)) return judge(input, context, before);
  const record = parsePipeLine(input, LINE_NUMBER, TOPICS, NOW_MS);
  return record === null ? BLANK : judge(record, context, before);
}

const LINE_NUMBER = 5;
const BLANK: Verdict = { outcome: 'tombstone', code: null, hidden: 0 };

/** Its texts are made up: nothing in there is anybody's secret. */
function keep(input: Input): string {
  const bytes = Buffer.isBuffer(input) ? input : packRecord(input);
  const ending = Buffer.isBuffer(input) ? 'txt' : 'json';
  const file = `${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}.${ending}`;
  writeFileSync(join(CORPUS, file), bytes);
  return `test/fuzz/corpus/${file}`;
}

/** What failed once. */
export function corpus(): { name: string; input: Input }[] {
  return readdirSync(CORPUS)
    .filter((name) => /\.(json|txt)$/.test(name))
    .map((name) => {
      const bytes = readFileSync(join(CORPUS, name));
      return { name, input: name.endsWith('.txt') ? bytes : unpackRecord(bytes) };
    });
}

/** For people: what a run came to. */
export function summary(name: string, { cases, outcomes, withSecrets, slowestMs }: FuzzResult): string {
  const byNumber = [...outcomes].sort(([, left], [, right]) => right - left);
  const counts = byNumber.map(([outcome, number]) => `  ${String(number).padStart(7)} ${outcome}`);
  return [
    `${name}: ${cases} cases, TEST_SEED=${SEED}, ${withSecrets} with texts to be hidden, the slowest ${Math.round(slowestMs)} ms`,
    ...counts,
  ].join('\n');
}
