import type { Actor, Phase, Reference, Request, Row, State } from './state.js';

/**
 * From here on versions are numbers that a store counts. A request on its way names the next ones beforehand, so they do not
 * count by their order alone and stand in the key as they are.
 */
export const COUNTED = 10_000;

/**
 * One text for all states that behave alike. The two threads are interchangeable. Epochs and versions matter only by their
 * order and by which are equal, so they are numbered anew. That makes the number of states finite and small. Each member is
 * one character, because an exploration spends most of its time here.
 */
export function keyOf(state: State): string {
  const epochs = ranked(epochsOf(state));
  const ids = ranked(idsOf(state));
  const writer = new KeyWriter(epochs, ids);
  const actors = state.actors.map((actor) => writer.actor(actor)).sort();
  const late =
    state.late.length === 0
      ? ''
      : state.late
          .map((request) => writer.request(request))
          .sort()
          .join('');
  let text = code(state.offsets[0] ?? 0, state.offsets[1] ?? 0, state.revision, state.applied);
  text += code(
    state.manager + 1,
    state.active,
    state.movesLeft,
    state.topic,
    state.faultsLeft,
    state.unsent.length,
    Number(state.unpublished),
  );
  text += state.status.charAt(0) + (state.claim.held ? 'h' : '-') + writer.epoch(state.claim.epoch);
  text += writer.reference(state.reference);
  for (const row of state.rows) text += writer.row(row);
  for (const { versions, current, epoch } of state.stores)
    text += `${versions
      .map(({ id, value }) => writer.id(id) + value)
      .sort()
      .join('')}*${writer.id(current)}${writer.epoch(epoch)}`;
  for (const outcome of state.inbox) text += outcome.charAt(0) || '-';
  for (const kept of state.kept) text += kept.charAt(0) || '-';
  for (const revision of state.unsent) text += code(revision);
  text += code(...state.missing);
  return `${text}|${late}|${actors.join('|')}|${state.broken}`;
}

const ROW_STATES = ['none', 'writing', 'live', 'retired', 'deleting', 'deleted'] as const;
const OPERATIONS = ['create', 'put', 'move', 'delete', 'send'] as const;
const JOBS = ['', 'event', 'scan', 'relay', 'janitor', 'migrate'] as const;
const PHASES: Record<Phase, number> = {
  idle: 0,
  planned: 1,
  read: 2,
  put: 3,
  putWait: 4,
  look: 18,
  commit: 5,
  abandon: 6,
  publish: 7,
  sendWait: 8,
  settle: 9,
  retire: 10,
  next: 11,
  delete: 12,
  deleteWait: 13,
  describe: 14,
  restore: 15,
  restoreWait: 16,
  tidied: 17,
};

function code(...numbers: number[]): string {
  return String.fromCharCode(...numbers.map((number) => number + 48));
}

class KeyWriter {
  readonly #epochs: readonly number[];
  readonly #ids: readonly number[];

  constructor(epochs: readonly number[], ids: readonly number[]) {
    this.#epochs = epochs;
    this.#ids = ids;
  }

  epoch(value: number): string {
    return code(this.#epochs.indexOf(value) + 1);
  }

  id(value: number): string {
    return code(value > COUNTED ? value - COUNTED + 100 : this.#ids.indexOf(value) + 1);
  }

  row({ st, ver, sus, due }: Row): string {
    return code(ROW_STATES.indexOf(st)) + this.id(ver) + this.epoch(sus) + this.epoch(due);
  }

  reference(reference: Reference | null): string {
    return reference === null ? '-' : reference.value + code(reference.order, reference.store);
  }

  request(request: Request): string {
    const head = code(OPERATIONS.indexOf(request.op), request.store) + this.epoch(request.epoch);
    switch (request.op) {
      case 'create':
      case 'put':
        return head + request.value + this.id(request.id) + this.id(request.expected ?? 0);
      case 'move':
        return head + this.id(request.from) + this.id(request.to);
      case 'send':
        return `${head}${code(...request.revisions)};`;
      case 'delete':
        return head;
    }
  }

  actor(actor: Actor): string {
    if (actor.phase === 'idle') return '';
    const { plan, request, row } = actor;
    const flags =
      Number(actor.isLastTry) +
      2 * Number(actor.outcomeKnown) +
      4 * Number(actor.isRenewed) +
      8 * Number(actor.isLost) +
      16 * Number(actor.hasApplied);
    let text = code(
      PHASES[actor.phase],
      JOBS.indexOf(actor.job),
      actor.event + 1,
      actor.after + 1,
      actor.store,
      flags,
    );
    text +=
      this.epoch(actor.epoch) +
      this.id(actor.version) +
      this.id(actor.current) +
      (actor.refusal.charAt(2) || '-');
    text += code(...actor.revisions, actor.rowOf);
    text += row === null ? '-' : this.row(row);
    text += request === null ? '-' : this.request(request);
    if (plan === null) return text;
    text += code(
      plan.revision,
      plan.applied,
      Number(plan.wasUsed) + 2 * Number(plan.known),
      ...plan.superseded,
    );
    text += plan.status.charAt(0) + (plan.value ?? '-') + this.reference(plan.reference);
    for (const own of plan.own) text += this.row(own);
    return text;
  }
}

/** The numbers sorted, each once, without 0. There are only a few, so an insertion sort is fastest. */
function ranked(values: readonly number[]): number[] {
  const sorted: number[] = [];
  for (const value of values) {
    if (value === 0 || value > COUNTED || sorted.includes(value)) continue;
    let at = sorted.length;
    while (at > 0 && (sorted[at - 1] ?? 0) > value) at -= 1;
    sorted.splice(at, 0, value);
  }
  return sorted;
}

function epochsOf({ claim, rows, stores, actors, late }: State): number[] {
  const found = [claim.epoch];
  for (const { epoch } of stores) found.push(epoch);
  for (const row of rows) found.push(row.sus, row.due);
  for (const request of late) found.push(request.epoch);
  for (const { phase, epoch, request, plan, row } of actors) {
    if (phase === 'idle') continue;
    found.push(epoch);
    if (request !== null) found.push(request.epoch);
    if (row !== null) found.push(row.sus, row.due);
    if (plan !== null) for (const own of plan.own) found.push(own.sus, own.due);
  }
  return found;
}

/** Every version that some row, thread or request still names. */
export function idsOf({ rows, actors, late, stores }: State): number[] {
  const found: number[] = [];
  const add = (request: Request): void => {
    if (request.op === 'create' || request.op === 'put') found.push(request.id);
    if (request.op === 'move') found.push(request.from, request.to);
  };
  for (const { ver } of rows) found.push(ver);
  for (const { current } of stores) found.push(current);
  for (const request of late) add(request);
  for (const { phase, request, version, current, row, plan } of actors) {
    if (phase === 'idle') continue;
    found.push(version, current);
    if (request !== null) add(request);
    if (row !== null) found.push(row.ver);
    if (plan !== null) for (const own of plan.own) found.push(own.ver);
  }
  return found;
}
