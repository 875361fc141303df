// What Vitest has seen of each file, for the end of `npm test`: a reporter that writes it, and its reader.
import { readFileSync, writeFileSync } from 'node:fs';

const SLOWEST = 12;

/** Vitest's reporter: writes to the file of TEST_REPORT. */
export default class FileReporter {
  onTestRunEnd(modules) {
    const files = modules.map((module) => {
      const states = [...module.children.allTests()].map((test) => test.result().state);
      const count = (state) => states.filter((one) => one === state).length;
      const { prepareDuration, setupDuration, collectDuration, duration } = module.diagnostic();
      return {
        name: module.relativeModuleId,
        suite: module.project.name,
        seconds: (prepareDuration + setupDuration + collectDuration + duration) / 1000,
        passed: count('passed'),
        // A file that could not be loaded, or whose clean-up failed, has no test to count.
        failed: Math.max(count('failed'), module.ok() ? 0 : 1),
        // Also those that an interruption left undone.
        skipped: count('skipped') + count('pending'),
      };
    });
    writeFileSync(process.env.TEST_REPORT, JSON.stringify(files));
  }
}

/** All counts, and the files. All zero where Vitest wrote nothing. */
export function readReport(path) {
  let files = [];
  try {
    files = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    // It came to no end: its own output says why.
  }
  return { ...added(files), files };
}

/** The figure of what Vitest has counted, in one line. */
export function coverageOf(path) {
  let total;
  try {
    ({ total } = JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return 'coverage of src/: Vitest wrote no figures, its output above says why';
  }
  const parts = ['lines', 'branches', 'functions'].map((kind) => `${total[kind].pct} % of ${kind}`);
  return `coverage of src/ by what the tests import: ${parts.join(', ')}`;
}

/** Where the time went, in lines: the suites, all files of each added up, then the slowest files. */
export function timesOf(files) {
  const suites = [...new Set(files.map(({ suite }) => suite))].map((suite) => {
    const own = files.filter((file) => file.suite === suite);
    return { ...added(own), name: `${suite} (${own.length} ${own.length === 1 ? 'file' : 'files'})` };
  });
  const slowestFirst = (list) => list.toSorted((a, b) => b.seconds - a.seconds);
  const line = ({ name, seconds, passed, failed, skipped }) =>
    `${seconds.toFixed(1).padStart(8)} s ${String(passed + failed + skipped).padStart(5)} tests  ${name}`;
  return [
    '',
    'Where the time went: suites, their files added up',
    ...slowestFirst(suites).map(line),
    'The slowest files',
    ...slowestFirst(files).slice(0, SLOWEST).map(line),
  ];
}

function added(files) {
  const sum = (key) => files.reduce((total, file) => total + file[key], 0);
  return {
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    seconds: sum('seconds'),
  };
}
