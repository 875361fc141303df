#!/usr/bin/env node
/**
 * What a metadata server does with each change of a connection: seal its passwords, publish it.
 *
 *     node examples/publisher/publish.mjs entityCreated examples/publisher/postgres.json
 *
 * The file is the full state of the entity after the change, with its passwords in the clear: they are sealed before
 * they leave this process. Environment: KAFKA_BROKERS, PUBLISHER_FERNET_KEY (docs/publishing.md).
 */
import { readFileSync } from 'node:fs';
import { createPublisher, publisherFromEnv } from '@connection-secrets/publisher';

const [eventType, file] = process.argv.slice(2);
if (eventType === undefined || file === undefined) {
  console.error('usage: node examples/publisher/publish.mjs EVENT-TYPE FILE');
  process.exit(2);
}

const publisher = createPublisher(publisherFromEnv(process.env));
try {
  const entity = JSON.parse(readFileSync(file, 'utf8'));
  const { topic, id, sealedFields } = await publisher.publish({
    eventType,
    entityType: 'databaseService',
    entity,
    userName: 'admin',
    // The time of the change decides which state is newer.
    timestamp: Date.now(),
  });
  console.log(`${id} is in ${topic}, sealed: ${sealedFields.join(', ') || 'nothing'}`);
} finally {
  await publisher.close();
}
