import { describe, expect, it } from 'vitest';
import { batchOf, CODEC_NAMES, costOf, type CodecName, type Cost } from '../fuzz/cost.js';
import { PIECE_COUNT, repeated, shapes, type Costly } from '../fuzz/costly.js';
import { applied } from '../fuzz/oracle.js';
import { Random } from '../fuzz/random.js';
import { FACTOR, SEED, type Scene } from '../fuzz/run.js';
import { sourceOf } from '../fuzz/samples.js';
import { openWorld } from '../fuzz/scenes.js';
import { startWatchdog } from '../fuzz/watchdog.js';

const world = openWorld();

/**
 * What one record may cost of the event loop, and of memory. The goal is one second on a machine that does nothing else,
 * and the worst are printed. What this test is for took minutes; a busy machine is two or three times as slow.
 */
const MOST_MS = 3_000;
const MOST_MB = 256;
const RANDOM_COSTLY = Math.round(15 * FACTOR);

interface Measured extends Cost {
  readonly what: string;
}

describe('what one record costs', { timeout: 600_000 * Math.max(1, FACTOR) }, () => {
  const context = (world.scenes[0] as readonly Scene[])[0]?.context as Scene['context'];

  async function measured(
    { what, value, headers = {}, before }: Costly,
    codec: CodecName,
  ): Promise<Measured[]> {
    const batch = batchOf(value, headers, codec);
    if (batch === null) return [];
    const state = before === undefined ? null : applied({ ...SOURCE, value: before }, context);
    // Code that was never run before is slow, and garbage may lie about: what a second or third try costs as well, counts.
    let cost = await costOf(batch, context, state);
    for (let tries = 1; tries < 3 && isOver(cost); tries += 1) {
      const again = await costOf(batch, context, state);
      cost = { ...again, ms: Math.min(cost.ms, again.ms), mb: least(cost.mb, again.mb) };
    }
    const size = `${(value.length / 2 ** 20).toFixed(1)} MiB, ${codec}: ${(batch.length / 2 ** 20).toFixed(2)} MiB`;
    return [{ ...cost, what: `${what} (${size})` }];
  }

  it(`no record that a broker takes costs more than ${MOST_MS} ms of the event loop or ${MOST_MB} MB`, async () => {
    const all: Measured[] = [];
    const watchdog = startWatchdog(`costs, TEST_SEED=${SEED}`);
    let number = 0;
    const measure = async (costly: Costly, codecs: readonly CodecName[]): Promise<void> => {
      for (const codec of codecs) {
        watchdog.at((number += 1));
        all.push(...(await measured(costly, codec)));
      }
    };
    try {
      for (const [at, shape] of shapes().entries())
        await measure(
          shape,
          isRun(shape) ? CODEC_NAMES : ['none', COMPRESSED[at % COMPRESSED.length] ?? 'gzip'],
        );
      for (let at = 0; at < PIECE_COUNT + RANDOM_COSTLY; at += 1)
        await measure(repeated(new Random(SEED + at * 7_919), at), ['gzip']);
    } finally {
      watchdog.stop();
    }
    const line = ({ ms, mb, what, outcome, code }: Measured): string =>
      `  ${ms.toFixed(0).padStart(5)} ms ${(mb ?? 0).toFixed(0).padStart(4)} MB  ${what}: ${outcome} ${code ?? ''}`;
    const worst = (by: (cost: Measured) => number): string =>
      [...all]
        .sort((left, right) => by(right) - by(left))
        .slice(0, 8)
        .map(line)
        .join('\n');
    console.log(
      `costs: ${all.length} records, TEST_SEED=${SEED}; the worst of time\n${worst(({ ms }) => ms)}\nof memory\n${worst(({ mb }) => mb ?? 0)}`,
    );
    const over = all.filter(isOver);
    expect(over.map(line)).toEqual([]);
  });
});

/** What is not the same byte again and again is small in these only. */
const COMPRESSED = ['gzip', 'snappy'] as const;
const SOURCE = sourceOf(world.samples[0] as (typeof world.samples)[number]);

const isOver = ({ ms, mb }: Pick<Cost, 'ms' | 'mb'>): boolean => ms > MOST_MS || (mb ?? 0) > MOST_MB;
const least = (one: number | null, other: number | null): number | null =>
  one === null || other === null ? null : Math.min(one, other);

/** One byte again and again: every codec makes little of it. */
const isRun = ({ value }: Costly): boolean =>
  value.subarray(1_024, -1_024).every((byte, _, all) => byte === all[0]);
