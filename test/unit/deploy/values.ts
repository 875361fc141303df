import { parse } from 'yaml';
import type { Values } from '../../../scripts/chart.js';
import { docBlock } from '../../harness/doc-blocks.js';

/** What the chart cannot do without. */
export const MINIMUM = { settings: { KAFKA_BROKERS: 'kafka:9092' }, secrets: { existingSecret: 'worker' } };
/** Every value that makes something. */
export const FULL = {
  settings: { KAFKA_BROKERS: 'kafka:9093', KAFKA_GROUP_ID: 'group', WORKER_CONCURRENCY: 32, KAFKA_SSL: true },
  secrets: { existingSecret: 'worker', keys: ['FERNET_KEY', 'DATABASE_URL', 'KAFKA_SASL_PASSWORD'] },
  image: { repository: 'registry.example/worker', digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  kafkaTls: { existingSecret: 'kafka', cert: 'tls.crt', key: 'tls.key' },
  topics: { args: ['--partitions', 12] },
  serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/worker' } },
  metrics: { serviceMonitor: { enabled: true, labels: { release: 'prometheus' } } },
  keda: { enabled: true, authenticationRef: 'kafka', metadata: { tls: 'enable' } },
  networkPolicy: { ingressFrom: [], egress: [{ ports: [{ port: 443, protocol: 'TCP' }] }] },
  podAnnotations: { a: 'b' },
  podLabels: { 'azure.workload.identity/use': 'true' },
  nodeSelector: { disk: 'fast' },
  tolerations: [{ operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }],
  priorityClassName: 'high',
  extraVolumes: [{ name: 'catalog', configMap: { name: 'catalog' } }],
  extraVolumeMounts: [{ name: 'catalog', mountPath: '/catalog' }],
};
/** Nothing that can be left out. */
export const LEAST = {
  ...MINIMUM,
  topics: { create: false },
  serviceAccount: { create: false, name: 'mine' },
  podDisruptionBudget: { enabled: false },
  networkPolicy: { enabled: false },
};
/** What docs/deploy.md shows. */
export const SHOWN = parse(docBlock('docs/deploy.md', 'yaml', 'serviceAccount').text) as Values;
