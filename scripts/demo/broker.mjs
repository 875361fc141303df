import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import kafkajs from 'kafkajs';

const START_TIMEOUT_MS = 600_000;

/** A real Kafka from the test harness, talked to with a plain client: the demo's outside view. */
export class Broker {
  address;
  #kafka;
  #id = randomBytes(4).toString('hex');

  constructor(address) {
    this.address = address;
    this.#kafka = new kafkajs.Kafka({
      clientId: 'demo',
      brokers: address.split(','),
      logLevel: kafkajs.logLevel.NOTHING,
    });
  }

  /** TEST_KAFKA_BROKERS where it is set; else Docker Compose, else a process of this machine (docs/development.md). */
  static async open(workspace, printer) {
    printer.section('Kafka');
    const begin = performance.now();
    const { address, how } = await startByHarness(workspace);
    printer.line(`${address}, ${how} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
    const broker = new Broker(address);
    workspace.onClose(() => broker.#removeTopics());
    return broker;
  }

  /** A name of this run: the broker may be somebody's. */
  topic(name) {
    return `demo-${this.#id}.${name}`;
  }

  async send(name, samples) {
    const producer = this.#kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({
      topic: this.topic(name),
      acks: -1,
      messages: samples.map(({ key, value, headers }) => ({ key, value: JSON.stringify(value), headers })),
    });
    await producer.disconnect();
  }

  /** What arrives in these topics from now on: `{name: [{key, value, headers}]}`, growing. */
  async listen(names) {
    const records = Object.fromEntries(names.map((name) => [name, []]));
    const nameOf = new Map(names.map((name) => [this.topic(name), name]));
    const consumer = this.#kafka.consumer({ groupId: this.topic('demo'), maxWaitTimeInMs: 250 });
    await consumer.connect();
    await consumer.subscribe({ topics: [...nameOf.keys()], fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ topic, message: { key, value, headers } }) => {
        records[nameOf.get(topic)].push({
          key: key?.toString() ?? null,
          value: value?.toString() ?? null,
          headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, String(text)])),
        });
      },
    });
    this.#disconnect = () => consumer.disconnect();
    return records;
  }

  #disconnect = async () => undefined;

  async #removeTopics() {
    await this.#disconnect();
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      const ours = (await admin.listTopics()).filter((name) => name.startsWith(this.topic('')));
      await admin.deleteTopics({ topics: ours });
      await admin.deleteGroups([this.topic('demo'), this.topic('worker')]);
    } finally {
      await admin.disconnect();
    }
  }
}

/** The harness is TypeScript and stays a process of its own: it ends its broker when it is ended. */
function startByHarness(workspace) {
  const child = workspace.adopt(
    spawn(process.execPath, ['--import', 'tsx', join('test', 'harness', 'run-parts.ts')], {
      cwd: workspace.root,
      env: { ...process.env, TEST_PARTS_ONLY: 'kafka' },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => fail('it takes too long'), START_TIMEOUT_MS);
    const fail = (reason) => {
      clearTimeout(timer);
      reject(new Error(`no Kafka could be started: ${reason}\n${output.trim()}`));
    };
    const look = (text) => {
      output += text;
      const missing = /^# kafka: missing .*$/m.exec(output);
      if (missing !== null) return fail(missing[0]);
      const [, address] = /^export TEST_KAFKA_BROKERS='([^']+)'$/m.exec(output) ?? [];
      if (address === undefined) return undefined;
      clearTimeout(timer);
      const [, how = ''] = /^# kafka: (.*), [\d.]+ s$/m.exec(output) ?? [];
      return resolve({ address, how });
    };
    child.stdout.setEncoding('utf8').on('data', look);
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => fail(error.code));
    child.once('close', () => fail('the harness has ended'));
  });
}
