import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Evidence } from './evidence.mjs';
import { Broker } from './broker.mjs';
import { Program } from './program.mjs';
import { hideFields, readSamples, secretTexts } from './samples.mjs';
import { showExample, showOutcomes, showReferences, showSilence } from './show.mjs';

/** Exit code of `pipe` where some lines became dead letters. */
const SOME_REFUSED = 3;
const EVENTS_TIMEOUT_MS = 60_000;
const WAIT_SECONDS = 2;

/** The sample events through `pipe`: no server at all. */
export async function demoByPipe(parts) {
  const { printer, workspace } = parts;
  const demo = await open(parts);
  const { program, samples, example, file } = demo;
  const out = join(workspace.dir, 'secured.ndjson');
  const securedEvents = () => eventsOf(readFileSync(out, 'utf8'));

  await program.run(['pipe', '--in', '-', '--out', out], { input: example.line });
  showIncoming(demo, securedEvents());
  printer.section('2. What the worker made of it');
  printer.command(`head -n 1 ${file} | connection-secrets pipe --out secured.ndjson`);
  await showExample(demo, securedEvents(), [example]);

  const expectedCode = samples.some(({ expect }) => expect.outcome === 'refused') ? SOME_REFUSED : 0;
  printer.section(`3. All ${samples.length} sample events, the first one again among them`);
  printer.command(`connection-secrets pipe --in ${file} --out secured.ndjson`);
  await program.run(['pipe', '--in', parts.eventsFile, '--out', out], { expectedCode });
  printer.line(
    `exit code ${expectedCode}${expectedCode === SOME_REFUSED ? ': some became dead letters' : ''}`,
  );
  printer.line();
  showOutcomes(demo, securedEvents());
  const times = securedEvents().filter(({ source }) => source.eventId === example.change.id).length;
  printer.check(times === 1, 'the first event came twice: still one secured event, and one write');
  await conclude(demo, securedEvents());
}

/** The same over a real broker, with `start` as the worker. */
export async function demoByKafka(parts) {
  const { printer, workspace } = parts;
  const demo = await open(parts);
  const { program, samples, example } = demo;
  const broker = await Broker.open(workspace, printer);
  program.configure({
    KAFKA_BROKERS: broker.address,
    KAFKA_GROUP_ID: broker.topic('worker'),
    TOPIC_CREATED: broker.topic('connection.created'),
    TOPIC_UPDATED: broker.topic('connection.updated'),
    TOPIC_DELETED: broker.topic('connection.deleted'),
    TOPIC_SECURED: broker.topic('connection.secured'),
    TOPIC_DEAD_LETTER: broker.topic('connection.dead-letter'),
    WAIT_SECONDS: String(WAIT_SECONDS),
    HTTP_PORT: 'off',
  });
  printer.command('connection-secrets topics create');
  await program.run(['topics', 'create']);
  const received = await broker.listen(['connection.secured', 'connection.dead-letter']);
  printer.command(`WAIT_SECONDS=${WAIT_SECONDS} connection-secrets start`);
  const worker = program.start(['start']);

  await sendAll(broker, demo, received, worker);
  worker.stop();
  const code = await worker.ended;
  if (code !== 0) throw new Error(`the worker ended with ${code} after SIGTERM\n${worker.logs().trim()}`);
  printer.line(`stopped by SIGTERM: exit code ${code}`);

  const secured = () => received['connection.secured'].map(({ value }) => JSON.parse(value).data);
  const ofExample = secured().filter(({ connectionId }) => connectionId === example.change.entityId);
  showIncoming(demo, ofExample);
  printer.section('2. What the worker made of it, in the end');
  await showExample(demo, ofExample, samples);
  printer.section(`3. All ${samples.length} sample events`);
  showOutcomes(demo, secured());
  showDeadLetters(demo, received['connection.dead-letter']);
  const keysMatch = received['connection.secured'].every(
    ({ key, value }) => key === JSON.parse(value).data.connectionId,
  );
  printer.check(keysMatch, 'every secured event has its connection’s id as key');
  await conclude(demo, secured(), JSON.stringify(received));
}

/** Created ones first, then updates, then deletions: between topics there is no order. */
async function sendAll(broker, { printer, samples }, received, worker) {
  for (const topic of ['connection.created', 'connection.updated', 'connection.deleted']) {
    const batch = samples.filter((sample) => sample.topic === topic);
    await broker.send(topic, batch);
    const ids = new Set(batch.map(({ change }) => change.id));
    const isSeen = () =>
      received['connection.secured'].filter(({ value }) => ids.has(JSON.parse(value).data.source.eventId))
        .length +
        received['connection.dead-letter'].filter(({ headers }) => ids.has(headers['event-id'])).length >=
      batch.length;
    await until(isSeen, `what becomes of the events of ${topic}`, worker);
    printer.line(`${batch.length} events to ${topic}: each came out as a secured event or a dead letter`);
  }
}

function showDeadLetters({ printer, samples }, records) {
  const refused = samples.filter(({ expect }) => expect.outcome === 'refused');
  for (const { change, expect } of refused) {
    const { headers, value } = records.find(({ headers }) => headers['event-id'] === change.id) ?? {};
    printer.check(
      headers?.code === expect.code && value?.startsWith('fernet:') === true,
      `the refused event lies in the topic connection.dead-letter, sealed: ${expect.code}`,
    );
  }
}

async function open({ root, printer, workspace, eventsFile }) {
  const samples = readSamples(eventsFile);
  const program = new Program(workspace);
  const key = (await program.run(['generate-key'])).trim();
  const [databaseFile, vaultFile] = [join(workspace.dir, 'demo.sqlite'), join(workspace.dir, 'demo.vault')];
  const settings = {
    FERNET_KEY: key,
    DATABASE_URL: `sqlite:${databaseFile}`,
    LOCAL_VAULT_FILE: vaultFile,
    SECRET_MANAGER: 'local',
  };
  // The most talkative level: what is shown at the end, that no log holds a password, is to mean something.
  program.configure({ ...settings, LOG_LEVEL: 'trace' });
  if (workspace.isKept) writeEnvironment(join(workspace.dir, 'demo.env'), settings);
  const evidence = new Evidence(workspace.dir, databaseFile, vaultFile);
  return { printer, program, samples, example: samples[0], evidence, key, file: relative(root, eventsFile) };
}

/** For looking around in a kept folder: `set -a; . demo.env`. */
function writeEnvironment(file, settings) {
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
}

function showIncoming({ printer, example }, securedEvents) {
  const [secured] = securedEvents;
  if (secured === undefined) throw new Error('the example gave no secured event');
  printer.section(`1. An event comes in: ${example.topic}, ${example.note}`);
  printer.json(
    hideFields(
      example.change,
      secured.secretFields.map(({ path }) => path),
    ),
  );
  printer.note('(the worker got the password; only this print hides it)');
}

async function conclude(demo, securedEvents, topics) {
  const { printer } = demo;
  await showReferences(demo, securedEvents);
  showSilence(demo, secretTexts(demo.samples, securedEvents), topics);
  printer.section(`All ${printer.checks} statements were checked and are true.`);
}

function eventsOf(ndjson) {
  return ndjson
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).data);
}

async function until(isTrue, what, worker) {
  let exit;
  void worker.ended.then((code) => (exit = code));
  const deadline = performance.now() + EVENTS_TIMEOUT_MS;
  while (!isTrue()) {
    if (exit !== undefined)
      throw new Error(`the worker ended with ${exit} before ${what}\n${worker.logs().trim()}`);
    if (performance.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
