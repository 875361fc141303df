import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  CHART_DIR,
  chartRenderer,
  merged,
  renderChart,
  type Manifest,
  type Values,
} from '../../../scripts/chart.js';
import { renderPlainManifests } from '../../../scripts/plain-manifests.js';
import { SETTING_NAMES, SETTINGS } from '../../../src/config/settings.js';
import { PROJECT_DIR } from '../../harness/index.js';
import { compiled, problemsOf, type JsonSchema } from './schemas.js';
import { FULL, LEAST, MINIMUM, SHOWN } from './values.js';

const read = (file: string): string => readFileSync(join(CHART_DIR, file), 'utf8');

interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly securityContext: unknown;
  readonly resources: { readonly limits: unknown };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Pod {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: {
    readonly securityContext: unknown;
    readonly automountServiceAccountToken: boolean;
    readonly terminationGracePeriodSeconds: number;
    readonly containers: readonly [Container];
    readonly volumes: readonly { readonly name: string }[];
  };
}

const podOf = ({ spec }: Manifest): Pod => (spec as { template: Pod }).template;
function the(kind: string, manifests: readonly Manifest[]): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  return found;
}
const kindsOf = (manifests: readonly Manifest[]): string[] => manifests.map(({ kind }) => kind).sort();
const nullsIn = (value: unknown): boolean =>
  value === null || (typeof value === 'object' && Object.values(value).some(nullsIn));

describe('the values of the chart', () => {
  const validate = compiled(JSON.parse(read('values.schema.json')) as JsonSchema);
  const own = parse(read('values.yaml')) as object;
  const isValid = (values: Values): boolean => validate(merged(own, values));

  it('are those of its schema, and all of them', () => {
    const { properties } = JSON.parse(read('values.schema.json')) as { properties: object };
    expect(
      Object.keys(properties)
        .filter((name) => name !== 'global')
        .sort(),
    ).toEqual(Object.keys(own).sort());
    for (const values of [MINIMUM, FULL, LEAST, SHOWN])
      expect(isValid(values), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each<[string, Values]>([
    ['no brokers', { ...MINIMUM, settings: { SECRET_MANAGER: 'db' } }],
    ['no Secret', { ...MINIMUM, secrets: { existingSecret: '', keys: ['FERNET_KEY'] } }],
    ['a Secret without the key', { ...MINIMUM, secrets: { existingSecret: 'x', keys: ['DATABASE_URL'] } }],
    ['an unknown value', { ...MINIMUM, replica: 3 }],
    ['the tag latest', { ...MINIMUM, image: { repository: 'x', tag: 'latest' } }],
    ['no worker at all by KEDA', { ...MINIMUM, keda: { enabled: true, minReplicas: 0 } }],
    ['another port than the probes’', { ...MINIMUM, settings: { KAFKA_BROKERS: 'k:1', HTTP_PORT: 'off' } }],
    ['a name that is no setting’s', { ...MINIMUM, settings: { KAFKA_BROKERS: 'k:1', 'kafka-brokers': 'x' } }],
    ['a stop that is too short', { ...MINIMUM, terminationGracePeriodSeconds: 30 }],
  ])('refuse %s', (_, values) => {
    expect(isValid(values)).toBe(false);
  });

  it('take no secret setting in the clear', () => {
    const secrets = SETTING_NAMES.filter((name) => SETTINGS[name].secret === true);
    for (const name of secrets)
      expect(isValid({ ...MINIMUM, settings: { KAFKA_BROKERS: 'k:1', [name]: 'x' } }), name).toBe(false);
  });

  it('have the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT_DIR, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(parse(read('Chart.yaml'))).toMatchObject({ version, appVersion: version });
    expect(readFileSync(join(PROJECT_DIR, 'deploy/kubernetes/kustomization.yaml'), 'utf8')).toContain(
      `newTag: ${version}`,
    );
  });
});

/** On a build server one of the two must be there. */
const describeRendered = chartRenderer() === null && process.env['CI'] !== 'true' ? describe.skip : describe;

describeRendered('the chart (rendered by Helm, else by Go)', () => {
  const render = (values: Values): Manifest[] => renderChart(values, 'worker');
  // The first time Go compiles it, with its library: half a minute where nothing of it is in Go's cache.
  beforeAll(() => void render(MINIMUM));

  it.each<[string, Values]>([
    ['the least', MINIMUM],
    ['all', FULL],
  ])('makes what Kubernetes knows, without unknown fields: %s', (_, values) => {
    for (const manifest of render(values)) {
      expect(problemsOf(manifest), manifest.kind).toEqual([]);
      expect(nullsIn(manifest), manifest.kind).toBe(false);
    }
  });

  it('is judged by schemas that refuse what is wrong', () => {
    const deployment = the('Deployment', render(MINIMUM));
    expect(
      problemsOf({ ...deployment, ...{ spec: { ...(deployment.spec as object), replica: 1 } } }),
    ).not.toEqual([]);
    const monitor = the('ServiceMonitor', render(FULL));
    expect(problemsOf({ ...monitor, ...{ spec: {} } })).not.toEqual([]);
  });

  it('makes what was asked for', () => {
    const always = ['Deployment', 'Service'];
    const usual = ['Job', 'NetworkPolicy', 'PodDisruptionBudget', 'ServiceAccount'];
    expect(kindsOf(render(MINIMUM))).toEqual([...always, ...usual].sort());
    expect(kindsOf(render(FULL))).toEqual([...always, ...usual, 'ScaledObject', 'ServiceMonitor'].sort());
    const least = render(LEAST);
    expect(kindsOf(least)).toEqual(always);
    expect(podOf(the('Deployment', least)).spec).toMatchObject({ serviceAccountName: 'mine' });
    expect(() => render({ ...MINIMUM, secrets: { existingSecret: '' } })).toThrow(/existingSecret/);
  });

  it.each(['Deployment', 'Job'])('locks the pod of its %s up', (kind) => {
    for (const values of [MINIMUM, FULL]) {
      const { spec } = podOf(the(kind, render(values)));
      expect(spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 1000,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(spec.automountServiceAccountToken).toBe(false);
      const [container] = spec.containers;
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources.limits).toHaveProperty('memory');
      expect(container.image).not.toMatch(/:latest$|^[^:@]*$/);
    }
  });

  it.each(['Deployment', 'Job'])(
    'gives the %s settings of ours, and secrets as files that are mounted',
    (kind) => {
      const { spec } = podOf(the(kind, render(FULL)));
      const [{ env, volumeMounts }] = spec.containers;
      expect(new Set(env.map(({ name }) => name)).size).toBe(env.length);
      const known = SETTING_NAMES.flatMap((name) => [name, `${name}_FILE`]);
      expect(env.filter(({ name }) => !known.some((each) => each === name))).toEqual([]);
      for (const { name, value } of env.filter((each) => each.name.endsWith('_FILE')))
        expect(
          volumeMounts.some(({ mountPath }) => value.startsWith(`${mountPath}/`)),
          name,
        ).toBe(true);
      for (const mount of volumeMounts) expect(spec.volumes.map(({ name }) => name)).toContain(mount.name);
      expect(env).toContainEqual({
        name: 'FERNET_KEY_FILE',
        value: '/etc/connection-secrets/secrets/FERNET_KEY',
      });
      expect(env).toContainEqual({ name: 'WORKER_CONCURRENCY', value: '32' });
    },
  );

  it('stops no worker before it has finished, and leaves the number of workers to KEDA', () => {
    const deployment = the('Deployment', render(MINIMUM));
    const graceMs = Number(SETTINGS.SHUTDOWN_GRACE_MS.default);
    expect(podOf(deployment).spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(graceMs + 10_000);
    expect(deployment.spec).toMatchObject({ replicas: 2 });
    expect(the('Deployment', render(FULL)).spec).not.toHaveProperty('replicas');
  });

  it('scales by the topics and the group that the worker reads', () => {
    const topics = { TOPIC_CREATED: 'one', TOPIC_UPDATED: 'one', TOPIC_DELETED: 'two' };
    const [own, given] = [render(FULL), render({ ...FULL, settings: { ...FULL.settings, ...topics } })].map(
      (manifests) =>
        (the('ScaledObject', manifests).spec as { triggers: { metadata: Record<string, string> }[] })
          .triggers,
    );
    const topicsOf = (triggers: typeof own): unknown =>
      triggers?.map(({ metadata }) => metadata['topic']).sort();
    expect(topicsOf(own)).toEqual(['connection.created', 'connection.deleted', 'connection.updated']);
    expect(topicsOf(given)).toEqual(['one', 'one', 'two']);
    expect(own?.[0]?.metadata).toMatchObject({ consumerGroup: 'group', tls: 'enable', lagThreshold: '500' });
  });

  it('selects the workers for metrics and evictions, and the topics’ job also for the network', () => {
    const manifests = render(MINIMUM);
    const labelsOf = (kind: string): [string, string][] =>
      Object.entries(podOf(the(kind, manifests)).metadata.labels);
    const selects = (selector: Record<string, string>, kind: string): boolean =>
      Object.entries(selector).every(([name, value]) =>
        labelsOf(kind).some(([n, v]) => n === name && v === value),
      );
    const specOf = (kind: string): { selector: never; podSelector: never } =>
      the(kind, manifests).spec as { selector: never; podSelector: never };
    const budget = (specOf('PodDisruptionBudget').selector as { matchLabels: Record<string, string> })
      .matchLabels;
    for (const workers of [specOf('Service').selector as Record<string, string>, budget]) {
      expect(selects(workers, 'Deployment')).toBe(true);
      expect(selects(workers, 'Job')).toBe(false);
    }
    const network = (specOf('NetworkPolicy').podSelector as { matchLabels: Record<string, string> })
      .matchLabels;
    for (const kind of ['Deployment', 'Job']) expect(selects(network, kind)).toBe(true);
  });

  it('is what deploy/kubernetes/worker.yaml was made of (npx tsx scripts/plain-manifests.ts)', () => {
    const written = readFileSync(join(PROJECT_DIR, 'deploy/kubernetes/worker.yaml'), 'utf8');
    expect(written).toBe(renderPlainManifests());
    expect(written).not.toContain('helm.sh');
    const [{ env }] = podOf(the('Job', render(MINIMUM))).spec.containers;
    // The patch of kustomization.yaml replaces the first one.
    expect(env[0]?.name).toBe('KAFKA_BROKERS');
  });
});
