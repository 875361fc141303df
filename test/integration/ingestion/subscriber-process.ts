/** A subscriber as a process of its own, to be killed: appends a line to a file for each event it has handled. */
import { appendFileSync } from 'node:fs';
import { createResolver, ingestionFromEnv, subscribeSecured } from '../../../src/ingestion/index.js';

const { resolver: resolverOptions, subscription } = ingestionFromEnv(process.env);
const resolver = createResolver(resolverOptions);
const file = process.env['OUT_FILE'] ?? '';

subscribeSecured({ ...subscription, resolver, concurrency: 4 }, async ({ event, resolve }) => {
  await resolve();
  await new Promise((done) => setTimeout(done, 3));
  appendFileSync(file, `${event.connectionId} ${event.revision}\n`);
});
console.log('subscribed');
