import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { disposeLater } from '../cleanup.js';
import { freePort } from '../free-port.js';
import { KubernetesApi } from '../kubernetes-api.js';
import { tmpDir } from '../tmp-dir.js';
import { makeAuthority, makeCertificate, type CertificateFiles } from './certificates.js';
import { kubernetesTools } from './kube-apiserver.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';

export interface Kubernetes {
  readonly etcd: PartHandle;
  /** Its address is `https://127.0.0.1:port`. */
  readonly apiserver: PartHandle;
  /** The authority that signed the API server's certificate. */
  readonly caFile: string;
  /** The token of a user who may do everything (`system:masters`). */
  readonly adminToken: string;
  /** As that user. */
  readonly admin: KubernetesApi;
}

/**
 * Starts etcd and kube-apiserver for this test alone, with authorization by RBAC and the usual admission, and without
 * controllers: nobody makes Pods of a Deployment, accounts `default` or what aggregated roles are to contain. About 10 s,
 * and minutes where kube-apiserver has to be built. They end with the test or the file.
 */
export async function startKubernetes(): Promise<Kubernetes> {
  const tools = await kubernetesTools();
  const dir = tmpDir('kubernetes');
  const authority = await makeAuthority(dir, 'ca');
  const certificate = await makeCertificate(dir, 'kube-apiserver', authority);
  const etcd = await startEtcd(tools.etcd);
  disposeLater(() => etcd.dispose());
  const adminToken = randomBytes(24).toString('hex');
  const port = await freePort();
  const address = `https://127.0.0.1:${port}`;
  const admin = new KubernetesApi(address, readFileSync(authority.certFile, 'utf8'), adminToken);
  const apiserver = await LocalPart.launch({
    part: 'kube-apiserver',
    address,
    dataDir: makeDataDir('kube-apiserver'),
    command: tools.apiserver,
    args: flags({ port, etcd: etcd.address, certificate, ...loginFiles(dir, adminToken) }),
    answers: async () => (await admin.call('GET', '/readyz')).status === 200,
  });
  disposeLater(() => apiserver.dispose());
  return { etcd, apiserver, caFile: authority.certFile, adminToken, admin };
}

async function startEtcd(command: string): Promise<PartHandle> {
  const dataDir = makeDataDir('etcd');
  const [address, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  return LocalPart.launch({
    part: 'etcd',
    address,
    dataDir,
    command,
    args: [
      `--data-dir=${join(dataDir, 'data')}`,
      ...[`--listen-client-urls=${address}`, `--advertise-client-urls=${address}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      `--initial-cluster=default=${peer}`,
    ],
    answers: async () => (await fetch(`${address}/health`)).ok,
  });
}

interface LoginFiles {
  readonly tokens: string;
  readonly accounts: string;
}

/** Who the admin is, and the key that signs the tokens of ServiceAccounts. */
function loginFiles(dir: string, adminToken: string): LoginFiles {
  const [tokens, accounts] = [join(dir, 'tokens.csv'), join(dir, 'accounts.key')];
  writeFileSync(tokens, `${adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(accounts, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  return { tokens, accounts };
}

interface ServerSettings extends LoginFiles {
  readonly port: number;
  readonly etcd: string;
  readonly certificate: CertificateFiles;
}

function flags({ port, etcd, certificate, tokens, accounts }: ServerSettings): string[] {
  return Object.entries({
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'secure-port': port,
    'etcd-servers': etcd,
    'tls-cert-file': certificate.certFile,
    'tls-private-key-file': certificate.keyFile,
    'authorization-mode': 'RBAC',
    'token-auth-file': tokens,
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': accounts,
    'service-account-signing-key-file': accounts,
    'service-cluster-ip-range': '10.96.0.0/24',
    // It would refuse to make Endpoints for an address of this machine alone.
    'endpoint-reconciler-type': 'none',
  }).map(([name, value]) => `--${name}=${value}`);
}
