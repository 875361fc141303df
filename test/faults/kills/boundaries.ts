import type { Boundary, Circumstances, Kill, Point } from './boundary.js';
import { CHANGING_SECRETS, SECRETS } from './scenario.js';

type Where = 'both' | 'kafka' | 'pipe';

/** One kill at one point. */
function one(
  id: string,
  meaning: string,
  at: Point,
  where: Where = 'both',
  circumstances: Circumstances = {},
): Boundary {
  const kills: readonly Kill[] = [{ at }];
  return {
    id,
    meaning,
    kafka: where === 'pipe' ? null : kills,
    pipe: where === 'kafka' ? null : kills,
    ...circumstances,
  };
}

/** The four phases of a transaction. */
function transaction(
  id: string,
  meaning: string,
  point: Omit<Point, 'phase'>,
  where: Where = 'both',
  circumstances: Circumstances = {},
): Boundary[] {
  const { decision, ...always } = point;
  const decided = decision === undefined ? {} : { decision };
  // What a claim decides is known when its transaction has begun.
  const before = point.step === 'claim' ? always : point;
  return [
    one(`${id}/before`, `${meaning}: not begun`, { ...before, phase: 'before' }, where, circumstances),
    one(
      `${id}/in`,
      `${meaning}: before COMMIT`,
      { ...always, ...decided, phase: 'in' },
      where,
      circumstances,
    ),
    one(
      `${id}/unknown`,
      `${meaning}: COMMIT sent, no answer`,
      { ...point, phase: 'unknown' },
      where,
      circumstances,
    ),
    one(`${id}/after`, `${meaning}: done`, { ...point, phase: 'after' }, where, circumstances),
  ];
}

/** The two that differ in what lasts: before its COMMIT, and when it is sent. */
function briefly(...of: Parameters<typeof transaction>): Boundary[] {
  return transaction(...of).filter(({ id }) => id.endsWith('/in') || id.endsWith('/unknown'));
}

/** A request to the store: before it, without its answer (two ways), with its answer. */
function storeWrite(
  id: string,
  meaning: string,
  operation: string,
  where: Where = 'both',
  circumstances: Circumstances = {},
): Boundary[] {
  const during = (what: string, text: string, fault: 'hang' | 'hang-after' | 'delay'): Boundary => {
    const kills: readonly Kill[] = [
      {
        during: {
          ...{ kind: fault, operation, secretId: SECRETS, times: 1 },
          ...(fault === 'delay' ? { delayMs: LATE_MS } : {}),
        },
      },
    ];
    return {
      ...one(`${id}/${what}`, `${meaning}: ${text}`, { step: '', phase: '' }, where, circumstances),
      ...(where === 'pipe' ? {} : { kafka: kills }),
      ...(where === 'kafka' ? {} : { pipe: kills }),
    };
  };
  return [
    one(
      `${id}/before`,
      `${meaning}: not sent`,
      { step: 'store', phase: 'before', call: operation },
      where,
      circumstances,
    ),
    during('sent', 'sent, not carried out', 'hang'),
    during('landed', 'carried out, no answer', 'hang-after'),
    during('late', 'carried out long after the process has died', 'delay'),
    one(
      `${id}/after`,
      `${meaning}: answered`,
      { step: 'store', phase: 'after', call: operation },
      where,
      circumstances,
    ),
  ];
}

/** Longer than a claim (see env in world.ts) and the way of an event through the worker that takes over. */
const LATE_MS = 10_000;

/** A request to Kafka. */
function request(
  id: string,
  meaning: string,
  point: Omit<Point, 'step' | 'phase'>,
  circumstances: Circumstances = {},
): Boundary[] {
  return [
    one(
      `${id}/before`,
      `${meaning}: not sent`,
      { step: 'kafka', phase: 'before', ...point },
      'kafka',
      circumstances,
    ),
    one(
      `${id}/sent`,
      `${meaning}: sent, no answer`,
      { step: 'kafka', phase: 'sent', ...point },
      'kafka',
      circumstances,
    ),
    one(
      `${id}/after`,
      `${meaning}: answered, our code does not know`,
      { step: 'kafka', phase: 'after', ...point },
      'kafka',
      circumstances,
    ),
  ];
}

/** The same after a first kill that leaves something to the relay: its event comes back later than its claim ends. */
function relayed(boundary: Boundary): Boundary {
  const first = {
    at: { step: 'kafka', phase: 'before', api: 'Produce', bytes: '.secured', task: 'event' },
  } as const;
  const firstLine = { at: { step: 'line', phase: 'before', task: 'event' } } as const;
  return {
    ...boundary,
    kafka: boundary.kafka === null ? null : [first, ...boundary.kafka],
    pipe: boundary.pipe === null ? null : [firstLine, ...boundary.pipe],
    isSingle: true,
    env: { KAFKA_SESSION_TIMEOUT_MS: '15000' },
    leavesToRelay: true,
  };
}

const START: Circumstances = { atStart: true };
/** Done by one worker for all. */
const ONCE_AT_START: Circumstances = { atStart: true, isSingle: true };
const REBALANCE: Circumstances = { rebalance: true };
/** A request that outlasts the hand-over of its partition. */
const SLOW: Circumstances = {
  rebalance: true,
  isSingle: true,
  env: { CLAIM_MS: '14000', STORE_TIMEOUT_MS: '6000' },
  faults: [{ kind: 'slow-answer', delayMs: 3_000 }],
};
/**
 * Long enough for what comes to those that wait on a busy machine, also where the worker has died meanwhile and comes
 * back late; nothing comes to the orphan.
 */
const ORPHAN: Circumstances = { orphan: true, env: { WAIT_SECONDS: '40' } };
/** More than a claim, the event's second way and the event after it take on a busy machine; less than four claims. */
const OVERTAKEN_MS = 16_000;
/** After so many such writes: where the first has landed too early, one of a later round does it. */
const OVERTAKEN_AT = [0, 40, 80];
/** A write times out and lands when the event has long been applied again: the secret is in doubt, and overtaken. */
const OVERTAKEN: Circumstances = {
  isSingle: true,
  faults: OVERTAKEN_AT.map((skip) => ({
    kind: 'delay',
    operation: 'PutSecretValue',
    secretId: CHANGING_SECRETS,
    skip,
    times: 1,
    delayMs: OVERTAKEN_MS,
  })),
};

const MOVED: Circumstances = { migrates: true, isSingle: true };
const READS = ['GetSecretValue', 'BatchGetSecretValue'] as const;

/**
 * Every place where a process is ended: the rows of the kill matrix. To add one: see which steps and phases a run comes
 * through (docs/development.md), and name one here.
 */
export const BOUNDARIES: readonly Boundary[] = [
  // Start
  one('start/open/before', 'database: not opened', { step: 'open', phase: 'before' }, 'both', START),
  one('start/open/after', 'database: opened', { step: 'open', phase: 'after' }, 'both', START),
  one('start/migrate/before', 'schema: not migrated', { step: 'migrate', phase: 'before' }, 'both', START),
  one(
    'start/migrate/table',
    'schema: some tables made',
    { step: 'table', phase: 'unknown', nth: 9 },
    'both',
    ONCE_AT_START,
  ),
  one(
    'start/migrate/in',
    'schema: all tables made, before COMMIT',
    { step: 'migrate', phase: 'in' },
    'both',
    ONCE_AT_START,
  ),
  one(
    'start/migrate/unknown',
    'schema: COMMIT sent',
    { step: 'migrate', phase: 'unknown' },
    'both',
    ONCE_AT_START,
  ),
  one('start/migrate/after', 'schema: migrated', { step: 'migrate', phase: 'after' }, 'both', START),
  ...briefly('start/identity', 'identity', { step: 'setting', decision: 'key_check' }, 'both', START),
  one(
    'start/mark/before',
    'the store is to remember who works on it: not sent',
    { step: 'store', phase: 'before', call: 'CreateSecret at start' },
    'both',
    ONCE_AT_START,
  ),
  one(
    'start/mark/after',
    'the store remembers who works on it',
    { step: 'store', phase: 'after', call: 'CreateSecret at start' },
    'both',
    ONCE_AT_START,
  ),
  ...briefly(
    'start/group',
    'claim of the group',
    { step: 'setting', decision: 'kafka_group_id' },
    'kafka',
    START,
  ),
  one(
    'start/topics/before',
    'check of the topics: not asked',
    { step: 'kafka', phase: 'before', api: 'DescribeConfigs' },
    'kafka',
    START,
  ),
  one(
    'start/topics/after',
    'check of the topics: answered',
    { step: 'kafka', phase: 'after', api: 'DescribeConfigs' },
    'kafka',
    START,
  ),
  ...request('start/join', 'joining the group', { api: 'JoinGroup' }, START),
  ...request('start/sync', 'assignment', { api: 'SyncGroup' }, START),
  one('start/assigned', 'assignment taken', { step: 'assignment', phase: 'after' }, 'kafka', START),
  // Rebalance
  ...request('rebalance/join', 'joining again', { api: 'JoinGroup' }, REBALANCE),
  ...request('rebalance/sync', 'new assignment', { api: 'SyncGroup' }, REBALANCE),
  one(
    'rebalance/assigned/before',
    'new assignment: not taken',
    { step: 'assignment', phase: 'before' },
    'kafka',
    REBALANCE,
  ),
  one(
    'rebalance/assigned/after',
    'new assignment: taken',
    { step: 'assignment', phase: 'after' },
    'kafka',
    REBALANCE,
  ),
  one(
    'rebalance/revoked',
    'partition gone while its event is under way',
    { step: 'revoke', phase: 'after', inFlight: true },
    'kafka',
    SLOW,
  ),
  // The way of an event
  ...transaction('claim', 'claim', { step: 'claim', decision: 'put', task: 'event' }),
  ...storeWrite('create', 'new secret', 'CreateSecret'),
  one('create/next', 'between two new secrets of one event', {
    step: 'store',
    phase: 'before',
    call: 'CreateSecret',
    nth: 2,
  }),
  ...storeWrite('change', 'changed secret', 'PutSecretValue'),
  one('copy/before', 'rename: old secret not read', {
    step: 'store',
    phase: 'before',
    call: READS,
    task: 'event',
  }),
  one('copy/after', 'rename: old secret read', {
    step: 'store',
    phase: 'after',
    call: READS,
    task: 'event',
  }),
  ...transaction('commit', 'commit of the new state', { step: 'commit', task: 'event' }),
  ...briefly('deletion', 'claim that commits a deletion', { step: 'claim', decision: 'tombstone' }).slice(1),
  ...request('publish', 'secured event', { api: 'Produce', bytes: '.secured' }),
  one('publish/line/before', 'line of a pipe: not written', { step: 'line', phase: 'before' }, 'pipe'),
  one('publish/line/torn', 'line of a pipe: half written', { step: 'line', phase: 'torn' }, 'pipe'),
  one('publish/line/unsynced', 'line of a pipe: not synced', { step: 'line', phase: 'unsynced' }, 'pipe'),
  one('publish/line/after', 'line of a pipe: written', { step: 'line', phase: 'after' }, 'pipe'),
  ...transaction('mark', 'marked as sent', { step: 'settle', decision: 'sent' }),
  ...request('offset', 'offset', { api: 'OffsetCommit' }),
  // Deletion of a retired secret
  ...transaction('delete/mark', 'mark `deleting`', { step: 'claim', decision: 'deletion', task: 'janitor' }),
  ...storeWrite('delete/request', 'deletion', 'DeleteSecret'),
  ...briefly('delete/row', 'row of the deleted secret', {
    step: 'commit',
    decision: 'deleted',
    task: 'janitor',
  }),
  // Waiting events, dead letters
  ...briefly('wait', 'claim that keeps a waiting event', { step: 'claim', decision: 'waiting' }),
  one(
    'scan/found',
    'scan: waiting event found',
    { step: 'due', phase: 'after', found: true, task: 'scan' },
    'kafka',
    ORPHAN,
  ),
  ...briefly(
    'scan/refuse',
    'scan: given up',
    { step: 'claim', decision: 'dead', task: 'scan' },
    'both',
    ORPHAN,
  ),
  ...briefly('dead-letter', 'claim that makes a dead letter', {
    step: 'claim',
    decision: 'dead',
    task: 'event',
  }),
  ...request('dead-letter/publish', 'dead letter', { api: 'Produce', bytes: '.dead-letter' }),
  ...briefly('no-event', 'record that is no event: kept', { step: 'keep' }),
  ...briefly('no-event/mark', 'record that is no event: marked as sent', { step: 'markSent' }),
  // Relay
  relayed(one('relay/found', 'relay: unsent records found', { step: 'unsent', phase: 'after', found: true })),
  ...briefly('relay/claim', 'relay: claim', { step: 'claim', decision: 'commit', task: 'relay' }).map(
    relayed,
  ),
  ...request('relay/publish', 'relay: secured event', {
    api: 'Produce',
    bytes: '.secured',
    task: 'relay',
  }).map(relayed),
  ...briefly('relay/mark', 'relay: marked as sent', {
    step: 'settle',
    decision: 'sent',
    task: 'relay',
  }).map(relayed),
  // Repair of a secret in doubt
  ...briefly(
    'repair/mark',
    'repair: in doubt anew',
    { step: 'claim', decision: 'repair', task: 'janitor' },
    'both',
    OVERTAKEN,
  ),
  one(
    'repair/look',
    'repair: version looked at',
    { step: 'store', phase: 'after', call: 'DescribeSecret', decision: 'repair', task: 'janitor' },
    'both',
    OVERTAKEN,
  ),
  ...storeWrite(
    'repair/restore',
    'recorded version made current',
    'UpdateSecretVersionStage',
    'both',
    OVERTAKEN,
  ),
  ...briefly(
    'repair/row',
    'repair: row',
    { step: 'commit', decision: 'repaired', task: 'janitor' },
    'both',
    OVERTAKEN,
  ),
  // Change of manager
  ...briefly(
    'migrate/switch',
    'another manager is the active one',
    { step: 'setting', decision: 'former_managers' },
    'both',
    MOVED,
  ),
  ...briefly(
    'migrate/claim',
    'move: claim',
    { step: 'claim', decision: 'put', task: 'migration' },
    'both',
    MOVED,
  ),
  one(
    'migrate/read/before',
    'move: old secret not read',
    { step: 'store', phase: 'before', call: READS, task: 'migration' },
    'both',
    MOVED,
  ),
  one(
    'migrate/read/after',
    'move: old secret read',
    { step: 'store', phase: 'after', call: READS, task: 'migration' },
    'both',
    MOVED,
  ),
  ...storeWrite('migrate/write', 'move: new secret', 'PutParameter', 'both', MOVED),
  one(
    'migrate/check',
    'move: new secret read back',
    { step: 'store', phase: 'after', call: 'GetParameters', task: 'migration' },
    'both',
    MOVED,
  ),
  ...transaction('migrate/commit', 'move: commit', { step: 'commit', task: 'migration' }, 'both', MOVED),
  ...request(
    'migrate/publish',
    'move: secured event',
    { api: 'Produce', bytes: '.secured', task: 'migration' },
    MOVED,
  ),
  ...briefly(
    'migrate/mark',
    'move: marked as sent',
    { step: 'settle', decision: 'sent', task: 'migration' },
    'both',
    MOVED,
  ),
  ...storeWrite('migrate/delete', 'move: deletion of the old secret', 'DeleteSecret', 'both', MOVED),
];
