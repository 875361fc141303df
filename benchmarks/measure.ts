/** Median time of one call, nanoseconds: rounds of enough calls to be worth timing, the middle one counts. */
export async function medianNs(work: () => unknown, { rounds = 9, roundMs = 60 } = {}): Promise<number> {
  const calls = await callsFor(work, roundMs);
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) times.push((await timeNs(work, calls)) / calls);
  return times.sort((left, right) => left - right)[Math.floor(rounds / 2)] ?? Number.NaN;
}

async function callsFor(work: () => unknown, roundMs: number): Promise<number> {
  for (let calls = 1; ; calls *= 4) {
    const ms = (await timeNs(work, calls)) / 1e6;
    if (ms >= roundMs / 4) return Math.max(1, Math.round((calls * roundMs) / ms));
  }
}

async function timeNs(work: () => unknown, calls: number): Promise<number> {
  const start = process.hrtime.bigint();
  for (let call = 0; call < calls; call += 1) await work();
  return Number(process.hrtime.bigint() - start);
}

export interface Result {
  readonly what: string;
  readonly ours: number;
  readonly baseline: string;
  readonly base: number;
  readonly unit: string;
}

/** A Markdown table of ratios: how many times the baseline ours takes (below 1: less). */
export function table(results: readonly Result[]): string {
  const rows = results.map(
    ({ what, ours, baseline, base, unit }) =>
      `| ${what} | ${format(ours)} ${unit} | ${baseline} | ${format(base)} ${unit} | **${format(ours / base)}** |`,
  );
  return ['| what | ours | baseline | baseline’s | ratio |', '|---|---|---|---|---|', ...rows].join('\n');
}

function format(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}

export interface Load {
  readonly events: number;
  readonly connections: number;
  /** Events under way at the same time. */
  readonly lanes: number;
}

/** What a run of events took. */
export interface Run {
  readonly perSecond: number;
  /** User and system time of this process, milliseconds an event. */
  readonly cpuMs: number;
  /** SQL statements an event; null: not counted here. */
  readonly statements: number | null;
}

/** Two runs to be compared. */
export interface Comparison {
  readonly what: string;
  readonly run: Run;
  readonly baseline: string;
  readonly base: Run;
}

export async function measured(
  events: number,
  work: () => Promise<unknown>,
): Promise<Omit<Run, 'statements'>> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await work();
  const seconds = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: events / seconds, cpuMs: (user + system) / 1_000 / events };
}

/** A Markdown table of rates: how many times the baseline's events ours handles (above 1: more). */
export function rates(compared: readonly Comparison[]): string {
  const rows = compared.map(({ what, run, baseline, base }) =>
    [
      what,
      `${run.perSecond.toFixed(0)}/s`,
      baseline,
      `${base.perSecond.toFixed(0)}/s`,
      `**${format(run.perSecond / base.perSecond)}**`,
      `${format(run.cpuMs)} ms`,
      run.statements === null ? '' : format(run.statements),
    ].join(' | '),
  );
  return [
    '| what | ours | baseline | baseline’s | ratio | CPU an event | SQL statements an event |',
    '|---|---|---|---|---|---|---|',
    ...rows.map((row) => `| ${row} |`),
  ].join('\n');
}

/** A figure that is counted, or compared with an earlier one of itself. */
export interface Figure {
  readonly what: string;
  readonly figure: string;
}

/** A Markdown table of figures. */
export function listed(figures: readonly Figure[]): string {
  return [
    '| what | figure |',
    '|---|---|',
    ...figures.map(({ what, figure }) => `| ${what} | ${figure} |`),
  ].join('\n');
}
