import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../cache.js';
import { freePort } from '../free-port.js';
import { quietKafka } from '../quiet-kafka.js';
import { requireExecutable, runCommand } from '../run-command.js';
import { waitFor } from '../wait-for.js';
import { LocalPart, makeDataDir, type PartHandle } from './local-part.js';

const KAFKA_VERSION = '4.1.1';
const LOG4J_VERSION = '2.24.3';

/** Throws an error that names what {@link launchKafka} needs and is not installed. */
export function checkKafkaTools(): void {
  requireExecutable('java', 'a Java runtime, 17 or newer');
  requireExecutable('mvn', 'Maven, for the download of Kafka');
}

/** What a broker has in addition to the plain listener at its {@link PartHandle.address}. */
interface KafkaExtras {
  readonly listeners?: readonly ExtraListener[];
  /** More lines of server.properties. */
  readonly properties?: Readonly<Record<string, string | number>>;
  /** More arguments of `StorageTool format`, which creates the users of SCRAM. */
  readonly formatArgs?: readonly string[];
}

interface ExtraListener {
  /** In upper case. Its properties are `listener.name.<lower case>.…`. */
  readonly name: string;
  readonly protocol: 'SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT';
  readonly port: number;
}

/** Starts one Kafka node in KRaft mode on 127.0.0.1. It does not create topics by itself. About 6 s. */
export async function launchKafka(extras: KafkaExtras = {}): Promise<PartHandle> {
  checkKafkaTools();
  const libs = join(await cached(`kafka-${KAFKA_VERSION}`, downloadKafka), 'libs');
  const dataDir = makeDataDir('kafka');
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties = join(dataDir, 'server.properties');
  writeFileSync(properties, serverProperties(port, controllerPort, join(dataDir, 'log'), extras), {
    mode: 0o600,
  });
  const logging = join(dataDir, 'log4j2.properties');
  writeFileSync(logging, LOGGING);
  mkdirSync(join(dataDir, 'log'));
  // Quick starts matter here, not peak throughput.
  const java = [
    '-Xms128m',
    '-Xmx512m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xshare:auto',
    `-Dlog4j2.configurationFile=${logging}`,
    '-cp',
    join(libs, '*'),
  ];
  await runCommand('java', [
    ...java,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    clusterId(),
    '-c',
    properties,
    ...(extras.formatArgs ?? []),
  ]);
  const address = `127.0.0.1:${port}`;
  const handle = await LocalPart.launch({
    part: 'kafka',
    address,
    dataDir,
    command: 'java',
    args: [...java, 'kafka.Kafka', properties],
    answers: () => brokerAnswers(address),
  });
  await waitForCoordinator(address);
  return handle;
}

/** A UUID in Kafka's form, 16 bytes in base64url. With a dash at the beginning, Kafka would take it for an option. */
function clusterId(): string {
  const id = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
  return id.startsWith('-') ? clusterId() : id;
}

async function brokerAnswers(address: string): Promise<boolean> {
  const admin = quietKafka(address, { attempts: 0 }).admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    return brokers.length > 0;
  } finally {
    await admin.disconnect();
  }
}

/** Waits until Kafka has made the topic for offsets, so that the first test with a group does not have to. */
async function waitForCoordinator(address: string): Promise<void> {
  const admin = quietKafka(address, { attempts: 0 }).admin();
  await admin.connect();
  try {
    await waitFor(async () => (await admin.describeGroups(['harness-warm-up'])).groups.length > 0, {
      what: 'the group coordinator of Kafka',
      timeoutMs: 30_000,
    });
  } finally {
    await admin.disconnect();
  }
}

async function downloadKafka(dir: string): Promise<void> {
  writeFileSync(join(dir, 'pom.xml'), POM);
  await runCommand(
    'mvn',
    ['-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=libs'],
    {
      cwd: dir,
    },
  );
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>${LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`;

/** Warnings only: enough to see why a start failed. */
const LOGGING = `rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
`;

function serverProperties(
  port: number,
  controllerPort: number,
  logDir: string,
  { listeners = [], properties = {} }: KafkaExtras,
): string {
  const outside = [
    `PLAINTEXT://127.0.0.1:${port}`,
    ...listeners.map((each) => `${each.name}://127.0.0.1:${each.port}`),
  ].join(',');
  const protocols = listeners.map((each) => `,${each.name}:${each.protocol}`).join('');
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `${outside},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': outside,
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols}`,
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': logDir,
    'auto.create.topics.enable': false,
    'default.replication.factor': 1,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 5,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // Tests of rebalances need short sessions, and no pause before the first assignment.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    // A killed broker cannot return under its number before its session expires. Default 9 s.
    'broker.session.timeout.ms': 2000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 4,
    // The default buffer of the log cleaner is 128 MB.
    'log.cleaner.dedupe.buffer.size': 8_388_608,
    'log.cleaner.backoff.ms': 1000,
    ...properties,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
