#!/usr/bin/env node
/**
 * `npm run demo`: the whole job on the sample events, with nothing but Node.
 *
 *     npm run demo                  SQLite, the `local` vault and a new key in a temporary folder
 *     npm run demo -- --kafka       the same events over a real Kafka, which the test harness finds or starts
 *     npm run demo -- --keep        keep the folder (database, vault, key) and say where it is
 *     npm run demo -- --events FILE other events, in the form of examples/events/
 *     npm run demo -- --no-install  neither install nor build: use what is there
 *
 * Everything it shows is checked. Exit codes: 0 all true, 1 something is not (or could not be installed), 2 wrong use.
 */
import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './demo/prepare.mjs';
import { Printer } from './demo/printer.mjs';
import { Workspace } from './demo/workspace.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const USAGE = 'usage: npm run demo -- [--kafka] [--keep] [--events FILE] [--no-install]';

const options = readOptions();
if (options !== null) process.exitCode = await main(options);

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        kafka: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        events: { type: 'string', default: join(ROOT, 'examples', 'events', 'connections.ndjson') },
        'no-install': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (!values.help) return values;
    process.stdout.write(`${USAGE}\n`);
  } catch (error) {
    process.stderr.write(`${error.message}\n${USAGE}\n`);
    process.exitCode = 2;
  }
  return null;
}

async function main({ kafka, keep, events, 'no-install': noInstall }) {
  const printer = new Printer(process.stdout, process.env);
  const workspace = new Workspace(ROOT, keep);
  const stopOn = (signal) => {
    void workspace.close().then(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  };
  process.once('SIGINT', stopOn);
  process.once('SIGTERM', stopOn);
  try {
    printer.title('Connection Secrets Worker: demo');
    if (!noInstall) await prepare(ROOT, printer, workspace);
    // After the installation: these use the packages it brings.
    const { demoByPipe, demoByKafka } = await import('./demo/run.mjs');
    await (kafka ? demoByKafka : demoByPipe)({ root: ROOT, printer, workspace, eventsFile: events });
    return 0;
  } catch (error) {
    printer.failure(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await workspace.close();
    if (keep && workspace.hasDir) printer.line(`kept: ${workspace.dir}`);
  }
}
