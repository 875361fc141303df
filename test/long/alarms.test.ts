import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { openHttpServer } from '../../src/http/server.js';
import { Metrics } from '../../src/observability/index.js';
import { disposeLater, freePort, PROJECT_DIR, startProcess, tmpDir, waitFor } from '../harness/index.js';
import { partsAreRequired } from '../harness/names.js';
import { prometheusTools, type PrometheusTools } from '../harness/prometheus.js';
import { runCommand } from '../harness/run-command.js';

const FOLDER = join(PROJECT_DIR, 'deploy', 'prometheus');
const RULES = readFileSync(join(FOLDER, 'rules.yaml'), 'utf8');

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[];
}
interface Tests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: unknown[] }[];
  }[];
}

const ALERTS = (parse(RULES) as Rules).groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort();

/** How much faster time goes by: an hour in twelve seconds. */
const FASTER = 300;
const SCRAPE = '200ms';

/** Longer than the longest range of a rule, so that it is quiet again. */
const PATIENCE_MS = 90_000;

const tools = await prometheusTools().catch((error: unknown) => {
  if (partsAreRequired()) throw error;
  return null;
});

describe.skipIf(tools === null)('the alarm rules', () => {
  const { prometheus, promtool } = tools as PrometheusTools;

  it('are rules, each with a test of when it fires and when it is quiet', async () => {
    await runCommand(promtool, ['check', 'rules', 'rules.yaml'], { cwd: FOLDER });
    await runCommand(promtool, ['test', 'rules', 'rules.test.yaml'], { cwd: FOLDER });
    const { tests } = parse(readFileSync(join(FOLDER, 'rules.test.yaml'), 'utf8')) as Tests;
    const cases = tests.flatMap(({ alert_rule_test: all }) => all);
    const having = (fires: boolean): string[] => [
      ...new Set(
        cases.filter(({ exp_alerts: { length } }) => length > 0 === fires).map(({ alertname }) => alertname),
      ),
    ];
    expect(having(true).sort()).toEqual(ALERTS);
    expect(having(false).sort()).toEqual(ALERTS);
  });

  it(
    'fire on what a worker tells of its faults, and stop when they are over',
    { timeout: 180_000 },
    async () => {
      const port = await freePort();
      const firing = await startPrometheus(prometheus, port);
      const until = (alerts: readonly string[], what: string): Promise<unknown> =>
        waitFor(
          async () => {
            expect(await firing()).toEqual(alerts);
            return true;
          },
          { what, timeoutMs: PATIENCE_MS },
        );
      await until(['ConnectionSecretsDown'], 'no worker');

      const metrics = new Metrics({ version: '1', manager: 'db' });
      const well = (): void => {
        metrics.ready('store', true);
        metrics.pausedPartitions(0);
        metrics.backlog({ unsent: 0, waiting: 0, dead: 0 });
        metrics.lag({ topic: 't', partition: 0 }, 0);
        metrics.migrated({ remaining: 0, moved: 0, failed: 0 });
      };
      well();
      metrics.storeRequest({ provider: 'p', call: 'c', result: 'ThrottlingException', durationMs: 1 });
      const http = await openHttpServer({
        host: '127.0.0.1',
        port,
        readiness: () => ({ ready: true, phase: 'running', parts: [], warnings: [] }),
        metrics: () => metrics.render(),
      });
      disposeLater(() => http.close());
      await until([], 'a worker that is well');

      metrics.ready('store', false);
      metrics.pausedPartitions(1);
      metrics.backlog({ unsent: 3, waiting: 0, dead: 1 });
      metrics.lag({ topic: 't', partition: 0 }, 9);
      metrics.migrated({ remaining: 5, moved: 0, failed: 5 });
      metrics.deadLetter('EVENT_INVALID');
      metrics.missed({ topic: 't', partition: 0, reason: 'expired' }, 7);
      metrics.tidied({ deleted: 0, repaired: 0, lost: 1 });
      metrics.handled(HANDLED);
      for (let times = 0; times < 20; times += 1)
        metrics.storeRequest({ provider: 'p', call: 'c', result: 'ThrottlingException', durationMs: 1 });
      const fired = new Set<string>();
      const others = ALERTS.filter((alert) => alert !== 'ConnectionSecretsDown');
      await waitFor(
        async () => {
          for (const alert of await firing()) fired.add(alert);
          expect([...fired].sort()).toEqual(others);
          return true;
        },
        { what: 'every alarm', timeoutMs: PATIENCE_MS },
      );

      well();
      await until([], 'the faults are over');
    },
  );
});

const HANDLED: Parameters<Metrics['handled']>[0] = {
  record: { topic: 't', partition: 0, offset: 1 },
  outcome: 'applied',
  code: null,
  eventId: 'e',
  connectionId: 'c',
  eventType: 'entityUpdated',
  secretFields: 1,
  writes: 1,
  reported: ['/connection/config/apiKey'],
  notes: [
    { action: 'mask-on-new-endpoint', detail: null, fields: { plain: [], secret: [], more: 0 } },
    { action: 'quoted', detail: null, fields: { plain: [], secret: [], more: 0 } },
  ],
  isAgain: false,
  durationMs: 1,
};

/** Scrapes a worker at the port; resolves to what tells the names of the alerts that fire. */
async function startPrometheus(prometheus: string, target: number): Promise<() => Promise<string[]>> {
  const dir = tmpDir('prometheus');
  const faster = RULES.replace(/(?<=for: |\[)(\d+)([mh])\b/g, (_, number: string, unit: string) => {
    const seconds = Number(number) * (unit === 'h' ? 3_600 : 60);
    return `${Math.round((seconds * 1_000) / FASTER)}ms`;
  });
  mkdirSync(join(dir, 'data'));
  writeFileSync(join(dir, 'rules.yaml'), faster);
  writeFileSync(
    join(dir, 'prometheus.yaml'),
    JSON.stringify({
      global: { scrape_interval: SCRAPE, scrape_timeout: SCRAPE, evaluation_interval: SCRAPE },
      rule_files: ['rules.yaml'],
      scrape_configs: [{ job_name: 'worker', static_configs: [{ targets: [`127.0.0.1:${target}`] }] }],
    }),
  );
  const port = await freePort();
  const server = startProcess({
    command: prometheus,
    args: [
      `--config.file=${join(dir, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
  });
  disposeLater(async () => {
    await server.stop(10_000);
  });
  const firing = async (): Promise<string[]> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/alerts`);
    const { data } = (await response.json()) as {
      data: { alerts: { state: string; labels: { alertname: string } }[] };
    };
    const names = data.alerts.flatMap(({ state, labels }) => (state === 'firing' ? [labels.alertname] : []));
    return [...new Set(names)].sort();
  };
  await waitFor(firing, { what: 'Prometheus', timeoutMs: PATIENCE_MS });
  return firing;
}
