import { readdirSync, readFileSync } from 'node:fs';

interface Sample {
  readonly atSeconds: number;
  readonly rssMb: number;
  readonly handles: number;
}

/** How one process used memory and file handles over its life. */
export interface ProcessFigures {
  readonly pid: number;
  readonly seconds: number;
  readonly rssMb: { readonly first: number; readonly last: number; readonly max: number };
  /** By least squares after the warm-up. */
  readonly rssMbPerHour: number;
  readonly handles: { readonly first: number; readonly last: number; readonly max: number };
  /** Null where it did not live long enough to say. */
  readonly isFlat: boolean | null;
}

/** Share of a life that counts as warm-up. */
const WARM_UP = 0.3;
const MIN_SAMPLES = 12;
/** A heap takes minutes to find its size. */
const MIN_SECONDS = 300;

/** Looks at processes again and again (/proc: Linux). */
export class Measures {
  readonly #samples = new Map<number, Sample[]>();
  readonly #begin = performance.now();

  look(pids: readonly number[]): void {
    for (const pid of pids) {
      const sample = sampleOf(pid, (performance.now() - this.#begin) / 1_000);
      if (sample === null) continue;
      const samples = this.#samples.get(pid) ?? [];
      samples.push(sample);
      this.#samples.set(pid, samples);
    }
  }

  /** Of one process; null where it did not live long enough to say anything. */
  figures(pid: number): ProcessFigures | null {
    const all = this.#samples.get(pid) ?? [];
    const samples = all.slice(Math.floor(all.length * WARM_UP));
    const [first, last] = [samples[0], samples.at(-1)];
    if (samples.length < MIN_SAMPLES || first === undefined || last === undefined) return null;
    const seconds = last.atSeconds - (all[0]?.atSeconds ?? 0);
    const third = Math.floor(samples.length / 3);
    const [early, late] = [samples.slice(0, third), samples.slice(-third)];
    const rss = (some: readonly Sample[]): number => median(some.map(({ rssMb }) => rssMb));
    const handles = (some: readonly Sample[]): number => median(some.map((sample) => sample.handles));
    return {
      pid,
      seconds,
      rssMb: { first: rss(early), last: rss(late), max: Math.max(...all.map(({ rssMb }) => rssMb)) },
      rssMbPerHour: slope(samples) * 3_600,
      handles: {
        first: handles(early),
        last: handles(late),
        max: Math.max(...all.map((sample) => sample.handles)),
      },
      isFlat: seconds < MIN_SECONDS ? null : isFlat(rss(early), rss(late), handles(early), handles(late)),
    };
  }
}

/** A heap grows in steps until its collector finds it worth while; a leak of a few hundred bytes an event would show. */
function isFlat(rssEarly: number, rssLate: number, handlesEarly: number, handlesLate: number): boolean {
  return rssLate <= rssEarly * 1.15 + 20 && handlesLate <= handlesEarly + 8;
}

function sampleOf(pid: number, atSeconds: number): Sample | null {
  try {
    const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (kb === undefined) return null;
    return { atSeconds, rssMb: Number(kb) / 1_024, handles: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return null; // it is gone
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** Megabytes a second. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [meanAt, meanRss] = [mean(({ atSeconds }) => atSeconds), mean(({ rssMb }) => rssMb)];
  let [above, below] = [0, 0];
  for (const { atSeconds, rssMb } of samples) {
    above += (atSeconds - meanAt) * (rssMb - meanRss);
    below += (atSeconds - meanAt) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
