import type { TestProcess } from './start-process.js';
import { waitFor } from './wait-for.js';

/** The answer of `/readyz`. */
interface Readyz {
  readonly status: number;
  readonly ready: boolean;
  readonly phase: string;
  readonly parts: readonly { readonly part: string; readonly state: string; readonly code: string | null }[];
}

/** The URL at which a `start` process answers HTTP, from its log. */
export async function urlOf(worker: TestProcess): Promise<string> {
  const line = await worker.waitForLine('"msg":"http"', { stream: 'stdout', timeoutMs: 60_000 });
  return (JSON.parse(line) as { url: string }).url;
}

export async function readyz(url: string): Promise<Readyz> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, ...((await response.json()) as Omit<Readyz, 'status'>) };
}

/** Default 60,000 ms. */
export async function untilReady(url: string, timeoutMs = 60_000): Promise<void> {
  await waitFor(async () => (await readyz(url)).ready, { what: 'readiness', timeoutMs });
}

/** Waits until `/readyz` says that this part is down with this code, and that the worker is not ready. */
export async function untilDown(
  url: string,
  part: string,
  code: string | RegExp,
  timeoutMs = 60_000,
): Promise<Readyz> {
  const matches = (seen: string | null): boolean =>
    typeof code === 'string' ? seen === code : code.test(seen ?? '');
  let report: Readyz | undefined;
  await waitFor(
    async () => {
      report = await readyz(url);
      const { parts, ready, status } = report;
      const isDown = parts.some((each) => each.part === part && each.state === 'down' && matches(each.code));
      if (isDown && !ready && status === 503) return true;
      throw new Error(JSON.stringify(report));
    },
    { what: `${part} to be down with ${String(code)}`, timeoutMs },
  );
  return report!;
}

/** The sum of those samples of a metric that have all of these labels. */
export async function metricOf(
  url: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
