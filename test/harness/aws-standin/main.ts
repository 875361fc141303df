import { parseArgs } from 'node:util';
import { startAwsStandin } from './server.js';

/** `node --import tsx test/harness/aws-standin/main.ts --port N` prints one line of JSON when it listens. SIGTERM ends it. */
const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const standin = await startAwsStandin(Number(values.port));
process.stdout.write(`${JSON.stringify({ url: standin.url, port: standin.port })}\n`);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void standin.close());
}
