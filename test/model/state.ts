/** One state of the modelled world: database, stores, topics, requests on their way, and two threads. */

/** A text. Two texts are equal if their fingerprints are. */
export type Value = 'A' | 'B';

/** A row of `stored_secret` (src/database/rows.ts). */
export interface Row {
  readonly st: 'none' | 'writing' | 'live' | 'retired' | 'deleting' | 'deleted';
  /** The recorded version; 0: none. */
  readonly ver: number;
  /** The secret is in doubt until no request of this epoch or an older one can land; 0: it is not in doubt. */
  readonly sus: number;
  /** The secret is `deleting` until no request of this epoch or an older one can land. */
  readonly due: number;
}

/** The field's row of `secret_reference`. `store` is the manager that has the value. */
export interface Reference {
  order: number;
  value: Value;
  store: number;
}

export interface Version {
  id: number;
  value: Value;
}

export interface Store {
  /** Empty: there is no secret of this name. */
  versions: Version[];
  current: number;
  /** Of the claim that wrote what is current, where the store compares and sets. */
  epoch: number;
}

/** A request on its way. `epoch` is that of the claim under which it was sent. */
export type Request = { readonly epoch: number; readonly store: number } &
  /** `expected`: the version that it replaces, where the store compares; 0: there is none yet; null: whatever is there. */
  (
    | {
        readonly op: 'create' | 'put';
        readonly value: Value;
        readonly id: number;
        readonly expected: number | null;
      }
    | { readonly op: 'move'; readonly from: number; readonly to: number }
    | { readonly op: 'delete' }
    | { readonly op: 'send'; readonly revisions: readonly number[] }
  );

/** What an event, or a change of manager, will commit. Decided under the row's lock, like `WritePlan`. */
export interface Plan {
  revision: number;
  applied: number;
  status: 'live' | 'deleted';
  reference: Reference | null;
  /** The rows before the marks, which `committed()` and `abandoned()` look at. */
  own: Row[];
  /** Whether the old reference uses the name, for `abandoned()`. */
  wasUsed: boolean;
  superseded: number[];
  value: Value | null;
  known: boolean;
}

export type Phase =
  | 'idle'
  | 'planned'
  | 'read'
  | 'put'
  | 'putWait'
  | 'look'
  | 'commit'
  | 'abandon'
  | 'publish'
  | 'sendWait'
  | 'settle'
  | 'retire'
  | 'next'
  | 'delete'
  | 'deleteWait'
  | 'describe'
  | 'restore'
  | 'restoreWait'
  | 'tidied';

/** One thread: a lane of a worker, its relay or its janitor. The two threads take their steps in every possible order. */
export interface Actor {
  name: string;
  phase: Phase;
  job: '' | 'event' | 'scan' | 'relay' | 'janitor' | 'migrate';
  /** The number of its event; -1: none. */
  event: number;
  /** The number of the event whose offset it commits at the end; -1: none. */
  after: number;
  epoch: number;
  /** The manager that was active when this thread's worker started. */
  store: number;
  plan: Plan | null;
  revisions: number[];
  request: Request | null;
  version: number;
  /** How a write that was given up ended. */
  refusal: '' | 'refused' | 'waiting' | 'again';
  /** Whether its request was applied before; else that request was refused. */
  hasApplied: boolean;
  isLastTry: boolean;
  /** The row that the janitor will write, for the manager `rowOf`. */
  row: Row | null;
  rowOf: number;
  outcomeKnown: boolean;
  /** The version that it expects to be current. */
  current: number;
  /** Whether its claim was renewed for longer than requests can be late, which is an option of the world. */
  isRenewed: boolean;
  /** Whether the janitor did not find the recorded version. */
  isLost: boolean;
}

export type InboxOutcome = '' | 'applied' | 'stale' | 'duplicate' | 'waiting' | 'refused' | 'blocked';

export interface State {
  /** The committed offset of each partition. */
  offsets: number[];
  revision: number;
  /** The order of the newest applied event; 0: none. */
  applied: number;
  status: 'new' | 'live' | 'deleted';
  /** The connection's manager; -1: none yet. */
  manager: number;
  claim: { epoch: number; held: boolean };
  reference: Reference | null;
  /** By manager. */
  rows: Row[];
  stores: Store[];
  inbox: InboxOutcome[];
  kept: ('' | 'waiting' | 'dead')[];
  /** Revisions in the outbox that are not marked as sent. 0 stands for a dead letter. */
  unsent: number[];
  /** Whether the newest revision, which has no row in the outbox, is not marked as published. */
  unpublished: boolean;
  /** The revision of the last record in the topic. */
  topic: number;
  /** Revisions that the topic has never had. */
  missing: number[];
  active: number;
  /** How many changes of manager may still come. */
  movesLeft: number;
  late: Request[];
  actors: Actor[];
  faultsLeft: number;
  nextId: number;
  /** What must never happen and did, as the transition that saw it says. */
  broken: string;
}

const NO_ROW: Row = { st: 'none', ver: 0, sus: 0, due: 0 };

export function idle(name: string): Actor {
  return {
    name,
    phase: 'idle',
    job: '',
    event: -1,
    after: -1,
    epoch: 0,
    store: 0,
    plan: null,
    revisions: [],
    request: null,
    version: 0,
    refusal: '',
    hasApplied: false,
    isLastTry: false,
    row: null,
    rowOf: 0,
    outcomeKnown: true,
    current: 0,
    isRenewed: false,
    isLost: false,
  };
}

export function initialState(events: number, options: { faults: number; moves: number }): State {
  const managers = options.moves > 0 ? 2 : 1;
  return {
    offsets: [0, 0],
    revision: 0,
    applied: 0,
    status: 'new',
    manager: -1,
    claim: { epoch: 0, held: false },
    reference: null,
    rows: Array.from({ length: managers }, () => ({ ...NO_ROW })),
    stores: Array.from({ length: managers }, () => ({ versions: [], current: 0, epoch: 0 })),
    inbox: Array.from({ length: events }, () => ''),
    kept: Array.from({ length: events }, () => ''),
    unsent: [],
    unpublished: false,
    topic: 0,
    missing: [],
    active: 0,
    movesLeft: options.moves,
    late: [],
    actors: [idle('w1'), idle('w2')],
    faultsLeft: options.faults,
    nextId: 1,
    broken: '',
  };
}

/**
 * A copy of a state. Rows, requests and plans never change, so the copies share them.
 * @param index the only thread that will change; default: all may
 */
export function copyState(state: State, index = -1): State {
  return {
    ...state,
    offsets: [...state.offsets],
    claim: { ...state.claim },
    rows: [...state.rows],
    stores: state.stores.map((store) => ({ ...store, versions: [...store.versions] })),
    inbox: [...state.inbox],
    kept: [...state.kept],
    unsent: [...state.unsent],
    missing: [...state.missing],
    late: [...state.late],
    actors: state.actors.map((actor, other) => (index === -1 || other === index ? { ...actor } : actor)),
  };
}

/** newest.ts, outbox.ts: what is to be published of the connection, in its order. */
export function toPublish({ unsent, unpublished, revision }: State): number[] {
  return unpublished ? [...unsent, revision] : [...unsent];
}

export function row(state: State, store: number): Row {
  return state.rows[store] as Row;
}

export function storeOf(state: State, store: number): Store {
  return state.stores[store] as Store;
}

/** Whether no request of this epoch or an older one can land any more. In the code the time of a mark says that. */
export function isOver(state: State, epoch: number): boolean {
  const counts = (request: Request | null): boolean =>
    request !== null && request.op !== 'send' && request.epoch <= epoch;
  return !state.late.some(counts) && !state.actors.some((actor) => counts(actor.request));
}
