import { afterAll, onTestFinished } from 'vitest';

type Disposal = () => void | Promise<void>;

const atEndOfFile: Disposal[] = [];

/**
 * Runs `dispose` when the current test has finished. If called outside of a test (in `beforeAll` or a describe), runs it
 * when the file has finished. Last in, first out. Not for concurrent tests.
 */
export function disposeLater(dispose: Disposal): void {
  try {
    onTestFinished(async () => {
      await dispose();
    });
  } catch {
    // Vitest refuses this outside of a test.
    atEndOfFile.push(dispose);
  }
}

/** The setup file of the projects calls this once for each test file. */
export function registerEndOfFile(): void {
  afterAll(async () => {
    const disposals = atEndOfFile.splice(0).reverse();
    const ends: PromiseSettledResult<void>[] = [];
    for (const dispose of disposals)
      ends.push(...(await Promise.allSettled([Promise.resolve().then(dispose)])));
    const failed = ends.filter((end) => end.status === 'rejected');
    if (failed.length > 0) {
      throw new AggregateError(
        failed.map((end): unknown => end.reason),
        'not everything a test started could be ended',
      );
    }
  });
}
