// What the JSON report of Vitest says, for the end of `npm test`.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const SLOWEST = 12;

/** Counts, and of each file its path below `root`, its seconds and how many tests it has. All zero without a report. */
export function readReport(path, root) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'));
    // A file that could not be loaded has no tests to count.
    const unloaded = report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
    );
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + unloaded.length,
      skipped: report.numPendingTests + report.numTodoTests,
      files: report.testResults.map(({ name, startTime, endTime, assertionResults }) => ({
        name: relative(root, name),
        seconds: Math.max(0, endTime - startTime) / 1000,
        tests: assertionResults.length,
      })),
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0, files: [] };
  }
}

/** Where the time went, in lines: the suites, all files of each added up, then the slowest files. */
export function timesOf(files, suiteOf) {
  const suites = new Map();
  for (const { name, seconds, tests } of files) {
    const sum = suites.get(suiteOf(name)) ?? { seconds: 0, tests: 0, files: 0 };
    suites.set(suiteOf(name), {
      seconds: sum.seconds + seconds,
      tests: sum.tests + tests,
      files: sum.files + 1,
    });
  }
  const slowestFirst = (a, b) => b.seconds - a.seconds;
  const line = (seconds, tests, name) =>
    `${seconds.toFixed(1).padStart(8)} s ${String(tests).padStart(5)} tests  ${name}`;
  return [
    '',
    'Where the time went: suites, their files added up',
    ...[...suites]
      .map(([name, sum]) => ({
        ...sum,
        name: `${name} (${sum.files} ${sum.files === 1 ? 'file' : 'files'})`,
      }))
      .sort(slowestFirst)
      .map(({ seconds, tests, name }) => line(seconds, tests, name)),
    'The slowest files',
    ...files
      .toSorted(slowestFirst)
      .slice(0, SLOWEST)
      .map(({ seconds, tests, name }) => line(seconds, tests, name)),
  ];
}
