#!/usr/bin/env node
/**
 * Sends the sample events to a Kafka, each to its topic under its key:
 *
 *     node examples/events/send.mjs 127.0.0.1:9092 [FILE]
 *
 * The topics must be there (`connection-secrets topics create`). Created ones are sent first, then updates, then
 * deletions: between topics there is no order.
 */
import { readFileSync } from 'node:fs';
import kafkajs from 'kafkajs';

const [brokers, file = new URL('connections.ndjson', import.meta.url)] = process.argv.slice(2);
if (brokers === undefined) {
  console.error('usage: node examples/events/send.mjs HOST:PORT [FILE]');
  process.exit(2);
}

const samples = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line));
const kafka = new kafkajs.Kafka({
  clientId: 'sample-events',
  brokers: brokers.split(','),
  logLevel: kafkajs.logLevel.ERROR,
});
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();
for (const topic of ['connection.created', 'connection.updated', 'connection.deleted']) {
  const messages = samples
    .filter((sample) => sample.topic === topic)
    .map(({ key, value, headers }) => ({ key, value: JSON.stringify(value), headers }));
  await producer.send({ topic, acks: -1, messages });
  console.log(`${messages.length} to ${topic}`);
}
await producer.disconnect();
