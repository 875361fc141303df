// `node --import test/faults/kills/hook.mjs dist/src/cli/main.js start`: the built program as it is, in a process that
// ends itself by SIGKILL where KILL_PLAN says. Nothing of the program is replaced: methods of its classes, its drivers
// and its sockets are wrapped, to see where it is. boundaries.ts says which steps and phases there are.
import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, existsSync, openSync, writeSync, appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';

/**
 * `dir` holds what the test and its processes tell each other by files: `reached.N`, written before the kill of stage N;
 * `armed.N`, without which a stage that waits for it is not looked at; `spared.N`, the process that goes on. `trace`: a
 * file that is to name every point a process comes through, or null.
 */
const { dir, stages, trace } = JSON.parse(process.env.KILL_PLAN ?? '{"dir":"","stages":[],"trace":null}');
delete process.env.KILL_PLAN;

/** Which step the code that runs is part of: follows it over every `await`. */
const scopes = new AsyncLocalStorage();
const seen = stages.map(() => 0);
let stageIndex = 0;

/** Called where the program is about to do something, or has just done it. */
function reach(step, phase, facts = {}) {
  const here = { ...scopes.getStore(), ...facts, step, phase };
  if (trace !== null) appendFileSync(trace, `${process.pid} ${describe(here)}\n`);
  while (stageIndex < stages.length && existsSync(join(dir, `reached.${stageIndex}`))) stageIndex += 1;
  const stage = stages[stageIndex];
  if (stage === undefined || !matches(stage, here)) return;
  if (stage.armed === true && !existsSync(join(dir, `armed.${stageIndex}`))) return;
  seen[stageIndex] += 1;
  if (seen[stageIndex] < (stage.nth ?? 1)) return;
  if (stage.spare === true && isSpared()) return;
  die();
}

/** What of a stage says when it counts, not where. */
const CONDITIONS = ['nth', 'armed', 'spare', 'bytes', 'decision'];

/** Every member of the stage: the same, or one of a list, or (`bytes`) contained in what is sent. */
function matches(stage, here) {
  const { bytes, decision } = stage;
  if (bytes !== undefined && !(here.bytes ?? '').includes(bytes)) return false;
  // What follows a claim of this task, its requests to the store for one, is on account of what that has decided.
  const decisions = here.decisions ?? here.memory?.decisions;
  if (decision !== undefined && decisions?.has(decision) !== true) return false;
  const wanted = Object.entries(stage).filter(([name]) => !CONDITIONS.includes(name));
  return wanted.every(([name, value]) =>
    name === 'task' && here.tasks?.size > 0 ? here.tasks.has(value) : [value].flat().includes(here[name]),
  );
}

/** The first process that comes here is spared, and goes on for the rest of this stage. */
function isSpared() {
  const file = join(dir, `spared.${stageIndex}`);
  if (create(file)) return true;
  return existsSync(`${file}.${process.pid}`);
}

function create(file) {
  try {
    const handle = openSync(file, 'wx');
    writeSync(handle, String(process.pid));
    closeSync(handle);
    if (file.includes('spared')) closeSync(openSync(`${file}.${process.pid}`, 'w'));
    return true;
  } catch {
    return false;
  }
}

/** Does not return: the system delivers the signal before the call of it ends. One process dies per stage. */
function die() {
  if (!create(join(dir, `reached.${stageIndex}`))) return;
  if (trace !== null) appendFileSync(trace, `${process.pid} ends here\n`);
  process.kill(process.pid, 'SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function describe({ decisions, tasks = [], ...here }) {
  const shown = { ...here, tasks: [...tasks], bytes: undefined, memory: undefined, request: undefined };
  return JSON.stringify(decisions === undefined ? shown : { ...shown, decisions: [...decisions] });
}

/** Runs `work` as part of something, with what is known of it. */
const within = (facts, work) => scopes.run({ ...scopes.getStore(), ...facts }, work);

/** An asynchronous method: phases `before` and `after`. `factsOf`: what its arguments tell. */
function around(prototype, method, step, factsOf = () => ({}), changed = (args) => args) {
  const original = prototype[method];
  prototype[method] = function wrapped(...args) {
    const facts = { step, ...factsOf(args, this) };
    return within(facts, async () => {
      reach(step, 'before');
      const result = await original.apply(this, changed(args, facts));
      reach(step, 'after', { found: isFound(result) });
      return result;
    });
  };
}

/** Whether a look (rows, or rows and connections) has found something. */
function isFound(result) {
  if (Array.isArray(result)) return result.length > 0;
  return result?.connectionIds !== undefined && result.connectionIds.length + result.rows.length > 0;
}

/** A method under which everything counts as one task. */
function task(prototype, method, name) {
  const original = prototype[method];
  prototype[method] = function wrapped(...args) {
    return within({ task: name, memory: {} }, () => original.apply(this, args));
  };
}

const base = new URL('../../../dist/src/', import.meta.url);
const load = (file) => import(new URL(file, base).href);
const require = createRequire(import.meta.url);

/** On whose behalf requests of a group are, and records that are sent. */
const taskOf = new WeakMap();
const tasksOf = (things) => new Set(things.map((each) => taskOf.get(each)).filter(Boolean));

await hookDatabase();
await hookTasks();
await hookStore();
await hookKafka();
await hookPipe();
hookSockets();
hookSqlite();

async function hookDatabase() {
  const { DatabaseLedger } = await load('database/ledger.js');
  const { Database } = await load('database/database.js');
  const { DataSource } = await import('typeorm');
  const { Group } = await load('pipeline/group.js');
  // Lanes share transactions and sends: each one's task counts, not only that of the lane whose turn it was to begin one.
  const add = Group.prototype.add;
  Group.prototype.add = function wrapped(item) {
    const { task: name } = scopes.getStore() ?? {};
    taskOf.set(item, name);
    for (const { record } of item.records ?? []) taskOf.set(record, name);
    return add.call(this, item);
  };
  const withDecisions = ([requests], { decisions }) => [requests.map((each) => watched(each, decisions))];
  const undecided = ([requests]) => {
    const decisions = new Set();
    const { memory = {} } = scopes.getStore() ?? {};
    memory.decisions = decisions;
    return { decisions, tasks: tasksOf(requests) };
  };
  around(DatabaseLedger.prototype, 'claim', 'claim', undecided, withDecisions);
  around(DatabaseLedger.prototype, 'commit', 'commit', ([requests]) => ({
    decisions: new Set(requests.flatMap(({ changes }) => notesOf(changes))),
    tasks: tasksOf(requests),
  }));
  around(DatabaseLedger.prototype, 'settle', 'settle', ([requests]) => ({
    decisions: new Set(
      requests.some(({ sentIds, isPublished }) => isPublished || sentIds.length > 0) ? ['sent'] : [],
    ),
    tasks: tasksOf(requests),
  }));
  around(DatabaseLedger.prototype, 'keep', 'keep');
  around(DatabaseLedger.prototype, 'markSent', 'markSent');
  around(DatabaseLedger.prototype, 'due', 'due');
  around(DatabaseLedger.prototype, 'unsent', 'unsent');
  around(Database, 'open', 'open');
  around(DataSource.prototype, 'runMigrations', 'migrate');
  // What is not the ledger's belongs to the start; which step it is, its statements tell.
  const transaction = Database.prototype.transaction;
  Database.prototype.transaction = function wrapped(work) {
    if (scopes.getStore()?.step !== undefined) return transaction.call(this, work);
    const scope = { ...scopes.getStore(), step: 'setting', decisions: new Set() };
    return scopes.run(scope, async () => {
      const result = await transaction.call(this, work);
      reach('setting', 'after');
      return result;
    });
  };
}

/** A request whose decision is noted when it is taken, under the row's lock. */
function watched(request, decisions) {
  return {
    ...request,
    decide: (state) => {
      const decision = request.decide(state);
      const { kind, plan, changes } = decision;
      for (const note of [kind, ...notesOf(changes), ...notesOf(plan)]) decisions.add(note);
      return decision;
    },
  };
}

function notesOf(about) {
  const {
    deletions = [],
    repairs = [],
    writes = [],
    deadLetters,
    connection,
    stored,
    secured,
    outbox,
  } = about ?? {};
  const notes = [];
  if (deletions.length > 0) notes.push('deletion');
  if (repairs.length > 0) notes.push('repair');
  if (writes.length > 0) notes.push('put');
  if (writes.some(({ source }) => source.kind === 'copy')) notes.push('copy');
  if (connection?.state === 'deleted') notes.push('tombstone');
  if (stored?.update?.some(({ state }) => state === 'deleted')) notes.push('deleted');
  if (stored?.update?.some(({ state, suspectUntilMs }) => state === 'live' && suspectUntilMs === null))
    notes.push('repaired');
  if (secured !== undefined || outbox?.length > 0) notes.push('outbox');
  for (const { state } of deadLetters?.set ?? []) notes.push(state);
  return notes;
}

async function hookTasks() {
  const { Janitor } = await load('upkeep/janitor.js');
  const { Relay } = await load('pipeline/relay.js');
  const { Pipeline } = await load('pipeline/pipeline.js');
  const { Mover } = await load('upkeep/mover.js');
  task(Janitor.prototype, 'run', 'janitor');
  task(Mover.prototype, 'move', 'migration');
  task(Relay.prototype, 'run', 'relay');
  task(Pipeline.prototype, 'retryKept', 'scan');
  task(Pipeline.prototype, 'handle', 'event');
}

async function hookStore() {
  const { Requester } = await load('secrets-managers/requester.js');
  for (const method of ['read', 'write'])
    around(Requester.prototype, method, 'store', ([call]) => ({
      // A start asks the store who works on it: no request of an event, the janitor or a move.
      call: scopes.getStore()?.task === undefined ? `${call} at start` : call,
    }));
}

async function hookKafka() {
  const { Membership } = await load('../consumers/membership.js');
  const { PartitionRun } = await load('../consumers/partition-run.js');
  const join = Membership.prototype.join;
  Membership.prototype.join = function wrapped(...args) {
    reach('assignment', 'before');
    join.apply(this, args);
    reach('assignment', 'after');
  };
  const abort = PartitionRun.prototype.abort;
  PartitionRun.prototype.abort = function wrapped() {
    const facts = { inFlight: this.inFlight > 0 };
    reach('revoke', 'before', facts);
    abort.call(this);
    reach('revoke', 'after', facts);
  };
  const { KafkaOutlet } = await load('../producers/outlet.js');
  const sendRecords = KafkaOutlet.prototype.send;
  KafkaOutlet.prototype.send = function wrapped(records) {
    return within({ tasks: tasksOf(records) }, () => sendRecords.call(this, records));
  };
  // Of one request: `before` and `sent` when its bytes go to the socket, `after` when its answer has come.
  const Connection = require('kafkajs/src/network/connection.js');
  const send = Connection.prototype.send;
  Connection.prototype.send = function wrapped(message) {
    const request = { api: message.request.apiName, bytes: '' };
    return within({ request }, async () => {
      const answer = await send.call(this, message);
      reach('kafka', 'after', request);
      return answer;
    });
  };
}

async function hookPipe() {
  const { LineOutlet } = await load('pipe/file-outlet.js');
  const send = LineOutlet.prototype.send;
  LineOutlet.prototype.send = function wrapped(records) {
    if (!records.some(({ stream }) => stream === 'secured')) return send.call(this, records);
    return within({ line: true }, async () => {
      reach('line', 'before');
      await send.call(this, records);
      reach('line', 'after');
    });
  };
  const { open } = await import('node:fs/promises');
  const handle = await open(new URL(import.meta.url), 'r');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const appendFile = prototype.appendFile;
  prototype.appendFile = async function wrapped(text, ...rest) {
    if (scopes.getStore()?.line !== true) return appendFile.call(this, text, ...rest);
    const stage = stages[stageIndex];
    // Half a line, as a process leaves it that dies in the middle of a long write.
    if (stage?.step === 'line' && stage.phase === 'torn') {
      await appendFile.call(this, text.slice(0, Math.floor(text.length / 2)), ...rest);
      reach('line', 'torn');
    }
    await appendFile.call(this, text, ...rest);
    reach('line', 'unsynced');
  };
}

/** Statements of PostgreSQL and MySQL, and requests of Kafka, when their bytes go out. */
function hookSockets() {
  const write = net.Socket.prototype.write;
  net.Socket.prototype.write = function wrapped(chunk, ...rest) {
    const scope = scopes.getStore();
    if (scope === undefined || !Buffer.isBuffer(chunk)) return write.call(this, chunk, ...rest);
    const { request } = scope;
    if (request !== undefined) {
      request.bytes = chunk.toString('latin1');
      reach('kafka', 'before', request);
      const written = write.call(this, chunk, ...rest);
      reach('kafka', 'sent', request);
      return written;
    }
    if (scope.step === undefined) return write.call(this, chunk, ...rest);
    return statement(chunk.toString('latin1'), () => write.call(this, chunk, ...rest));
  };
}

/** A statement in the course of a step: `in` before its COMMIT is sent, `unknown` when it is. */
function statement(text, run) {
  const { step, decisions } = scopes.getStore();
  if (step === 'setting')
    for (const name of ['key_check', 'kafka_group_id', 'former_managers'])
      if (text.includes(name)) decisions.add(name);
  const isCommit = text.length < 24 && text.includes('COMMIT');
  const isTable = step === 'migrate' && /CREATE (TABLE|INDEX)|ADD INDEX/.test(text);
  // PostgreSQL marks and releases by one statement, a transaction of its own. Its bytes go out when this turn ends.
  const isWhole = step === 'settle' && text.includes('own AS');
  if (isCommit || isWhole) reach(step, 'in');
  if (isTable) reach('table', 'before');
  const result = run();
  if (isCommit) reach(step, 'unknown');
  if (isWhole) process.nextTick(reach, step, 'unknown');
  if (isTable) reach('table', 'unknown');
  return result;
}

function hookSqlite() {
  const Sqlite = require('better-sqlite3');
  const prepare = Sqlite.prototype.prepare;
  Sqlite.prototype.prepare = function wrapped(sql) {
    const prepared = prepare.call(this, sql);
    for (const method of ['run', 'all']) {
      const original = prepared[method];
      prepared[method] = function counted(...args) {
        const run = () => original.apply(this, args);
        if (scopes.getStore()?.step === undefined) return run();
        const texts = args.filter((each) => typeof each === 'string' && each.length < 100);
        return statement([sql, ...texts].join('\n'), run);
      };
    }
    return prepared;
  };
}
