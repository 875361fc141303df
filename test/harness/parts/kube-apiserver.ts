import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../cache.js';
import { debianPackage } from '../debian-package.js';
import { findExecutable, requireExecutable, runCommand } from '../run-command.js';

/** The minor version of Kubernetes and its patch: its libraries have the same numbers behind `v0.`. */
const VERSION = '34.4';
const BUILD_TIMEOUT_MS = 45 * 60_000;

export interface KubernetesTools {
  readonly etcd: string;
  readonly apiserver: string;
}

/** Throws an error that names what {@link kubernetesTools} needs and is not installed. */
export function checkKubernetesTools(): void {
  requireExecutable('openssl', 'OpenSSL, for certificates');
  if (findExecutable('etcd') === undefined) requireExecutable('apt-get', 'etcd, or apt-get for its download');
  if (findExecutable('kube-apiserver') === undefined)
    requireExecutable('go', 'kube-apiserver, or Go 1.24 or newer to build it');
}

/**
 * Both from PATH, else etcd from Debian's package and kube-apiserver built from its Go modules. The build takes minutes,
 * once; Go's own cache makes a second one short.
 */
export async function kubernetesTools(): Promise<KubernetesTools> {
  return {
    etcd: findExecutable('etcd') ?? join(await debianPackage('etcd-server'), 'usr', 'bin', 'etcd'),
    apiserver:
      findExecutable('kube-apiserver') ??
      join(await cached(`kube-apiserver-1.${VERSION}`, buildApiserver), 'kube-apiserver'),
  };
}

async function buildApiserver(dir: string): Promise<void> {
  const go = (args: readonly string[]): Promise<string> =>
    runCommand('nice', ['-n', '10', 'go', ...args], {
      cwd: dir,
      env: { ...process.env, CGO_ENABLED: '0' },
      timeoutMs: BUILD_TIMEOUT_MS,
    });
  const module = `k8s.io/kubernetes@v1.${VERSION}`;
  // Outside of any module until go.mod is there, as `go mod download` with a version wants it.
  const { GoMod: theirs } = JSON.parse(await go(['mod', 'download', '-json', module])) as { GoMod: string };
  writeFileSync(join(dir, 'go.mod'), wrapperModule(readFileSync(theirs, 'utf8')));
  const version = 'k8s.io/component-base/version';
  const [minor] = VERSION.split('.');
  const says = [`gitVersion=v1.${VERSION}`, 'gitMajor=1', `gitMinor=${minor}`];
  const flags = ['-s', '-w', ...says.map((each) => `-X ${version}.${each}`)].join(' ');
  await go([
    ...['build', '-mod=mod', '-trimpath', '-ldflags', flags],
    ...['-o', 'kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver'],
  ]);
}

/**
 * A module that requires k8s.io/kubernetes, which no other module may do as it is: its go.mod takes its libraries from
 * folders beside it that its published module does not have. Here they are the published ones.
 */
function wrapperModule(theirs: string): string {
  const libraries = [...theirs.matchAll(/^\s*(\S+) => \.\/staging\//gm)].map(([, name]) => name);
  return [
    'module kube-apiserver',
    'go 1.24.0',
    `require k8s.io/kubernetes v1.${VERSION}`,
    ...libraries.map((name) => `replace ${name} => ${name} v0.${VERSION}`),
    '',
  ].join('\n\n');
}
