import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';

export const CHART_DIR = fileURLToPath(new URL('../deploy/helm/connection-secrets-worker', import.meta.url));
const RENDERER = fileURLToPath(new URL('chart/render.go', import.meta.url));
const CACHE = fileURLToPath(new URL('../.cache/chart', import.meta.url));
/** What the manifests are rendered for, where Helm asks no cluster. */
const KUBERNETES = '1.34.0';

export type Values = Readonly<Record<string, unknown>>;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec?: unknown;
}

/** What renders here: `helm` of the PATH, else the templates alone by Go; null where neither is installed. */
export function chartRenderer(): 'helm' | 'go' | null {
  if (succeeds('helm', ['version', '--short'])) return 'helm';
  return succeeds('go', ['version']) ? 'go' : null;
}

/**
 * The manifests that the chart makes of these values.
 *
 * @throws Error with what Helm or Go says: a value that is required, a template that is wrong
 */
export function renderChart(values: Values, release: string, renderer = chartRenderer()): Manifest[] {
  const text = renderer === 'helm' ? byHelm(values, release) : byGo(values, release);
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

const keyOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.name}`;

function byHelm(values: Values, release: string): string {
  const args = ['template', release, CHART_DIR, '--kube-version', KUBERNETES, '--values', '-'];
  // JSON: Helm reads YAML 1.1, where an unquoted `y` is true.
  return output('helm', args, JSON.stringify(values));
}

function byGo(values: Values, release: string): string {
  const read = (file: string): unknown => parse(readFileSync(join(CHART_DIR, file), 'utf8'));
  const { name, version, appVersion } = read('Chart.yaml') as Record<string, string>;
  const folder = join(CHART_DIR, 'templates');
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml') || file.endsWith('.tpl'));
  const input = {
    templates: Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')])),
    context: {
      Values: merged(read('values.yaml'), values),
      Chart: { Name: name, Version: version, AppVersion: appVersion },
      Release: { Name: release, Namespace: 'default', Service: 'Helm' },
    },
  };
  const rendered = JSON.parse(output(builtRenderer(), [], JSON.stringify(input))) as Record<string, string>;
  return Object.values(rendered).join('\n---\n');
}

/** As Helm puts values over the chart's own: maps member by member, everything else as a whole. */
export function merged(own: unknown, given: unknown): unknown {
  if (!isMap(own) || !isMap(given)) return given;
  const result: Record<string, unknown> = { ...own };
  for (const [key, value] of Object.entries(given))
    result[key] = key in own ? merged(own[key], value) : value;
  return result;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Compiled once for each version of its source. */
function builtRenderer(): string {
  const digest = createHash('sha256').update(readFileSync(RENDERER)).digest('hex').slice(0, 16);
  const target = join(CACHE, digest);
  if (existsSync(target)) return target;
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'chart-'));
  try {
    const built = join(CACHE, `${digest}.partial-${process.pid}`);
    writeFileSync(join(folder, 'go.mod'), 'module render\n\ngo 1.21\n');
    writeFileSync(join(folder, 'main.go'), readFileSync(RENDERER));
    output('go', ['build', '-o', built, '.'], '', folder);
    renameSync(built, target);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return target;
}

function output(command: string, args: readonly string[], input: string, cwd?: string): string {
  const result = spawnSync(command, args, {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (result.status !== 0) throw new Error(`${command}: ${result.stderr}${result.error?.message ?? ''}`);
  return result.stdout;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
