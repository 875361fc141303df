import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderChart, type Manifest, type Values } from '../../scripts/chart.js';
import {
  describeWithOwn,
  docBlock,
  freshName,
  PROJECT_DIR,
  startKubernetes,
  tmpDir,
  waitFor,
  type Kubernetes,
  type KubernetesApi,
  type KubernetesObject,
} from '../harness/index.js';
import { findExecutable, runCommand } from '../harness/run-command.js';
import { FULL, LEAST, MINIMUM, SHOWN } from '../unit/deploy/values.js';

/** Building kube-apiserver takes minutes, where it has never been built on this machine. */
const BUILD_TIMEOUT_MS = 45 * 60_000;
const DEPLOYER = 'deployer';
const RBAC = 'rbac.authorization.k8s.io';
const TOKEN: Values = { ...MINIMUM, serviceAccount: { automountToken: true } };
const SETS: [string, Values][] = [
  ['the least that it needs', MINIMUM],
  ['every value', FULL],
  ['nothing that can be left out', LEAST],
  ['what the docs show', SHOWN],
  ['a token that is mounted', TOKEN],
];

interface Pod extends KubernetesObject {
  readonly spec: Record<string, unknown> & { readonly volumes: readonly { readonly name: string }[] };
}

const withPods = (manifests: readonly Manifest[]): Manifest[] =>
  manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'Job');

/** What a controller would make of the template. */
function podOf({ kind, spec }: Manifest): Pod {
  const { template } = spec as { template: Pick<Pod, 'metadata' | 'spec'> };
  const metadata = { ...template.metadata, name: kind.toLowerCase() };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
}

const object = (
  apiVersion: string,
  kind: string,
  name: string,
  rest: object = {},
  labels = {},
): KubernetesObject => ({ apiVersion, kind, metadata: { name, ...{ labels } }, ...rest });

/** The kind and its names, as its operator installs it; of what is in it this server checks nothing. */
function customKind(group: string, version: string, kind: string): KubernetesObject {
  const plural = `${kind.toLowerCase()}s`;
  const spec = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec } } };
  return object('apiextensions.k8s.io/v1', 'CustomResourceDefinition', `${plural}.${group}`, {
    spec: {
      group,
      names: { kind, plural, singular: kind.toLowerCase() },
      scope: 'Namespaced',
      versions: [{ name: version, served: true, storage: true, schema }],
    },
  });
}

describeWithOwn(['kubernetes'], 'a real API server of Kubernetes, with RBAC', () => {
  let server: Kubernetes;
  let deployer: KubernetesApi;

  beforeAll(async () => {
    server = await startKubernetes();
    deployer = server.admin.as(DEPLOYER);
    const customKinds = [
      customKind('monitoring.coreos.com', 'v1', 'ServiceMonitor'),
      customKind('keda.sh', 'v1alpha1', 'ScaledObject'),
    ];
    for (const kind of customKinds) await server.admin.apply(kind, '');
    for (const [apiVersion, kind] of [
      ['monitoring.coreos.com/v1', 'ServiceMonitor'],
      ['keda.sh/v1alpha1', 'ScaledObject'],
    ] as const) {
      const isServed = async (): Promise<boolean> =>
        (await server.admin.call('GET', await server.admin.pathOf(object(apiVersion, kind, ''), 'default')))
          .status === 200;
      await waitFor(isServed, { what: `${kind} to be served` });
    }
    await server.admin.apply(object('scheduling.k8s.io/v1', 'PriorityClass', 'high', { value: 1 }), '');
    // The role `edit` is put together by a controller that does not run here. This is what it is made of.
    const operators = [
      { apiGroups: ['monitoring.coreos.com'], resources: ['servicemonitors'], verbs: ['create', 'patch'] },
      { apiGroups: ['keda.sh'], resources: ['scaledobjects'], verbs: ['create', 'patch'] },
    ];
    await server.admin.apply(object(`${RBAC}/v1`, 'ClusterRole', 'operators', { rules: operators }), '');
  }, BUILD_TIMEOUT_MS);

  /** Where only Pods that are locked up may run, and where the deployer may do what the role `edit` may. */
  async function newNamespace(name = freshName('ns')): Promise<string> {
    const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await server.admin.apply(object('v1', 'Namespace', name, {}, restricted), '');
    const accounts = ['default', 'mine'];
    for (const account of accounts) await server.admin.apply(object('v1', 'ServiceAccount', account), name);
    for (const role of ['system:aggregate-to-edit', 'operators']) {
      const binding = object(`${RBAC}/v1`, 'RoleBinding', role, {
        roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
        subjects: [{ apiGroup: RBAC, kind: 'User', name: DEPLOYER }],
      });
      await server.admin.apply(binding, name);
    }
    return name;
  }

  async function isStored(manifest: KubernetesObject, namespace: string): Promise<boolean> {
    const path = `${await server.admin.pathOf(manifest, namespace)}/${manifest.metadata.name}`;
    return (await server.admin.call('GET', path)).status === 200;
  }

  /** As a try, then really; and the Pods of it. */
  async function expectAccepted(manifests: readonly Manifest[], namespace: string): Promise<void> {
    for (const manifest of manifests) await deployer.apply(manifest, namespace, true);
    for (const manifest of manifests) expect(await isStored(manifest, namespace)).toBe(false);
    for (const manifest of manifests) await deployer.apply(manifest, namespace);
    for (const manifest of manifests) expect(await isStored(manifest, namespace)).toBe(true);
    for (const manifest of withPods(manifests)) await server.admin.apply(podOf(manifest), namespace);
  }

  it.each(SETS)('takes what the chart makes of %s, from somebody who may only edit', async (_, values) => {
    await expectAccepted(renderChart(values, 'worker'), await newNamespace());
  });

  it('takes the plain manifests', async () => {
    const text = readFileSync(join(PROJECT_DIR, 'deploy/kubernetes/worker.yaml'), 'utf8');
    const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    expect(manifests.length).toBeGreaterThan(4);
    await expectAccepted(manifests, await newNamespace());
  });

  it.skipIf(findExecutable('kubectl') === undefined)(
    'takes them from kubectl (on PATH) as the docs say',
    async () => {
      const namespace = await newNamespace('connection-secrets');
      const home = tmpDir('kubectl');
      const context = { cluster: 'test', user: 'admin', namespace };
      const config = {
        'current-context': 'test',
        clusters: [
          {
            name: 'test',
            cluster: { server: server.apiserver.address, 'certificate-authority': server.caFile },
          },
        ],
        users: [{ name: 'admin', user: { token: server.adminToken } }],
        contexts: [{ name: 'test', context }],
      };
      writeFileSync(join(home, 'config'), JSON.stringify(config), { mode: 0o600 });
      const [program = '', ...args] = docBlock('docs/deploy.md', 'sh', '--kustomize').text.trim().split(' ');
      const said = await runCommand(program, args, {
        cwd: PROJECT_DIR,
        env: { ...process.env, HOME: home, KUBECONFIG: join(home, 'config') },
      });
      expect(said).toContain('deployment.apps/connection-secrets-worker');
      const deployment = object('apps/v1', 'Deployment', 'connection-secrets-worker');
      expect(await isStored(deployment, namespace)).toBe(true);
    },
  );

  it('takes other values for what is there, as an upgrade does', async () => {
    const namespace = await newNamespace();
    for (const manifest of renderChart(MINIMUM, 'worker')) await deployer.apply(manifest, namespace);
    // Helm deletes the Job of a hook before it makes the next one.
    const changed = renderChart(FULL, 'worker').filter(({ kind }) => kind !== 'Job');
    for (const manifest of changed) await deployer.apply(manifest, namespace);
  });

  it('refuses a field that there is not, a Pod that is not locked up, and who may not edit', async () => {
    const namespace = await newNamespace();
    const manifests = renderChart(MINIMUM, 'worker');
    const [deployment] = withPods(manifests);
    const account = manifests.find(({ kind }) => kind === 'ServiceAccount');
    if (deployment === undefined || account === undefined) throw new Error('no Deployment or no account');
    await deployer.apply(account, namespace);
    const mistyped = { ...deployment, spec: { ...(deployment.spec as object), replica: 1 } };
    await expect(deployer.apply(mistyped, namespace)).rejects.toThrow(/replica/);
    const pod = podOf(deployment);
    const open = { ...pod, spec: { ...pod.spec, securityContext: { runAsUser: 0 } } };
    await expect(server.admin.apply(open, namespace)).rejects.toThrow(/PodSecurity "restricted/);
    await expect(deployer.apply(account, 'default')).rejects.toThrow(/403 .*forbidden/);
  });

  it('gives the worker no right, and no token unless the values say so', async () => {
    const mounted = async (values: Values): Promise<readonly string[]> => {
      const namespace = await newNamespace();
      const manifests = renderChart(values, 'worker');
      for (const manifest of manifests) await deployer.apply(manifest, namespace);
      const [deployment] = withPods(manifests);
      if (deployment === undefined) throw new Error('no Deployment');
      const { spec, metadata } = await server.admin.apply(podOf(deployment), namespace);
      await expectNoRights(metadata.namespace ?? '', String(spec['serviceAccountName']));
      return spec.volumes.map(({ name }) => name.replace(/-\w{5}$/, ''));
    };
    expect(await mounted(MINIMUM)).toEqual(['secrets']);
    expect(await mounted(TOKEN)).toEqual(['secrets', 'kube-api-access']);
  });

  /** Asked with a token of this account. */
  async function expectNoRights(namespace: string, account: string): Promise<void> {
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const { status } = await server.admin.ask<{ status: { token: string } }>('POST', path, request);
    const worker = server.admin.withToken(status.token);
    const kind = 'SelfSubjectRulesReview';
    const review = { apiVersion: 'authorization.k8s.io/v1', kind, spec: { namespace } };
    const answer = await worker.ask<{ status: { resourceRules: { apiGroups: string[] }[] } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
      review,
    );
    // Everybody may ask what he may do, and who he is.
    const groups = answer.status.resourceRules.flatMap(({ apiGroups }) => apiGroups);
    expect([...new Set(groups)].sort()).toEqual(['authentication.k8s.io', 'authorization.k8s.io']);
    for (const resource of ['secrets', 'configmaps', 'pods'])
      expect((await worker.call('GET', `/api/v1/namespaces/${namespace}/${resource}`)).status).toBe(403);
  }

  it('has what it had after a restart of both servers', async () => {
    const namespace = await newNamespace();
    await server.apiserver.stop();
    await server.etcd.restart();
    await server.apiserver.start();
    expect(await isStored(object('v1', 'ServiceAccount', 'mine'), namespace)).toBe(true);
  });
});
