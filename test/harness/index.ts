/** What tests use of the harness. docs/development.md says how it finds and starts the parts. */
export { awsClients, AWS_CREDENTIALS, AWS_REGION, type AwsClients } from './aws-clients.js';
export { PROJECT_DIR } from './cache.js';
export { disposeLater } from './cleanup.js';
export {
  copyOfDatabase,
  createDatabase,
  queryDatabase,
  TABLES,
  UNSENT,
  type DatabaseEngine,
  type TestDatabase,
} from './database.js';
export { describeWith, describeWithOwn, partState, usePart } from './describe-with.js';
export {
  docBlock,
  docBlocks,
  expectShown,
  runBlock,
  startBlock,
  startModule,
  type DocBlock,
} from './doc-blocks.js';
export { freePort } from './free-port.js';
export {
  committedOffsets,
  createTopics,
  eachRecord,
  endOffsets,
  jsonOf,
  offsetRanges,
  produce,
  readAll,
  readUntil,
  type OnBrokers,
  type ReceivedRecord,
  type RecordToSend,
} from './kafka-client.js';
export { KubernetesApi, type KubernetesObject } from './kubernetes-api.js';
export type { Addresses, PartName, PartState } from './names.js';
export { startKafka, startMariadb, startMoto, startPostgres } from './own-parts.js';
export { startKubernetes, type Kubernetes } from './parts/kubernetes.js';
export type { PartHandle } from './parts/local-part.js';
export { quietKafka } from './quiet-kafka.js';
export {
  CLI_FILE,
  runCli,
  startCli,
  startProcess,
  TestProcess,
  type CliResult,
  type Exit,
} from './start-process.js';
export { sealedFor } from './sealed-for.js';
export { freshName, tmpDir } from './tmp-dir.js';
export { HopelessError, waitFor, type WaitOptions } from './wait-for.js';
export { metricOf, readyz, untilDown, untilReady, urlOf } from './worker-http.js';
