import { expectedState } from './history.js';
import type { World } from './moves.js';
import { toPublish, type State } from './state.js';

/** What is wrong with a state, in words; null: nothing. @param isEnd whether nothing more happens by itself */
export function violation(state: State, world: World, isEnd: boolean): string | null {
  if (state.broken !== '') return state.broken;
  return (
    inDoubt(state) ?? unknownSecret(state) ?? lastRecord(state) ?? (isEnd ? atTheEnd(state, world) : null)
  );
}

/** A live secret that is not in doubt is exactly what the store has. Readers rely on that at any time. */
function inDoubt({ rows, stores, reference }: State): string | null {
  for (const [store, { st, ver, sus }] of rows.entries()) {
    if (st !== 'live' || sus !== 0) continue;
    const held = stores[store];
    const current = held?.versions.find(({ id }) => id === held.current);
    if (current === undefined)
      return 'a live secret is not in the store, and nothing says that it is in doubt';
    if (current.id !== ver || (reference?.store === store && current.value !== reference.value))
      return `the store holds ${current.value} where the database has recorded another version of a live secret, and nothing says that it is in doubt`;
  }
  return null;
}

/** Invariant 5: the database knows every owned secret in the store. */
function unknownSecret({ rows, stores }: State): string | null {
  const isUnknown = stores.some(({ versions }, store) => {
    const st = rows[store]?.st;
    return versions.length > 0 && (st === 'none' || st === 'deleted');
  });
  return isUnknown ? 'a secret of ours is in the store, and the database does not know it' : null;
}

/** Invariant 3: once all records are marked as sent, the topic's last record is the newest. */
function lastRecord({ unsent, unpublished, topic, revision, late, actors }: State): string | null {
  const isSending = [...late, ...actors.map(({ request }) => request)].some((one) => one?.op === 'send');
  if (unpublished || unsent.some((one) => one > 0) || topic === revision || isSending) return null;
  return `the topic's last record is revision ${topic}, the newest is ${revision}, and nothing is left to send`;
}

function atTheEnd(state: State, world: World): string | null {
  return unfinished(state, world) ?? outcomes(state, world) ?? newest(state, world);
}

/** When nothing more happens by itself, nothing may be left half-done. */
function unfinished(state: State, { history }: World): string | null {
  if (history.partitions.some((events, partition) => (state.offsets[partition] ?? 0) < events.length))
    return 'an event is never acknowledged';
  if (toPublish(state).length > 0) return 'a committed state is never published';
  const [missing] = state.missing;
  if (missing !== undefined) return `revision ${missing} is never published`;
  if (state.kept.includes('waiting')) return 'an event waits forever';
  const left = state.rows.find(
    ({ st, sus }) => (st !== 'none' && st !== 'live' && st !== 'deleted') || sus !== 0,
  );
  return left === undefined ? null : `a secret is left forever in the state ${left.st}`;
}

/** Invariant 2: every event is applied, stale, duplicate, or a dead letter, which a newer event may have superseded. */
function outcomes({ inbox }: State, { history }: World): string | null {
  const lost = inbox.findIndex((outcome) => outcome === '' || outcome === 'waiting');
  return lost === -1 ? null : `v${history.events[lost]?.order} was acknowledged, and nothing became of it`;
}

/** Invariants 1 and 3: database and store have the newest accepted state. */
function newest(state: State, { history }: World): string | null {
  const isAccepted = (event: number): boolean => !['refused', 'blocked'].includes(state.inbox[event] ?? '');
  const expected = expectedState(history, isAccepted);
  if (state.applied !== expected.order)
    return `the newest accepted event is v${expected.order}, the database has applied v${state.applied}`;
  if ((state.status === 'deleted') !== expected.isDeleted) return 'a deleted connection is back';
  if ((state.reference?.value ?? null) !== expected.value)
    return `the newest value is ${expected.value ?? 'none'}, the database refers to ${state.reference?.value ?? 'none'}`;
  const isLeft = state.manager !== -1 && state.manager !== state.active && state.status === 'live';
  if (isLeft) return 'the connection is never moved to the active manager';
  const used = state.reference?.store;
  if (state.stores.some(({ versions }, store) => versions.length > 0 && store !== used))
    return 'a secret that nothing refers to stays in the store';
  return null;
}
