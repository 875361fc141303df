import type { Evidence } from './evidence.js';
import { gather } from './gather.js';
import { acceptedEvents, judgeCounts } from './judge-counts.js';
import { judgeNewest } from './judge-newest.js';
import { judgeRevisions } from './judge-revisions.js';
import { judgeStores } from './judge-stores.js';
import { expectedConnections } from './oracle.js';
import type { CheckInput, PublishedEvent, Violation } from './types.js';

export { gather } from './gather.js';
export { account } from './judge-counts.js';
export { publishedEvent, type ChangeEvent, type PublishedOptions } from './published.js';
export { unsettled, untold } from './unsettled.js';
export {
  INVARIANTS,
  type CheckInput,
  type DeletedRecord,
  type FieldText,
  type Invariant,
  type PublishedEvent,
  type RecordSource,
  type StoreSource,
  type Violation,
} from './types.js';

/**
 * Verifies the five invariants from outside, with plain clients and an oracle of its own. Call it when the faults are
 * over and {@link unsettled} names nothing any more. Resolves to what is wrong; nothing: all five hold.
 *
 * @throws RangeError where what was published does not tell which state is the newest, or a value is too short (below
 *   8 characters) to be looked for
 */
export async function checkInvariants(input: CheckInput): Promise<Violation[]> {
  return judge(input.published, await gather(input));
}

/** The same on what was read. */
export function judge(published: readonly PublishedEvent[], evidence: Evidence): Violation[] {
  const expected = expectedConnections(acceptedEvents(published, evidence));
  return [
    ...judgeNewest(expected, evidence),
    ...judgeCounts(published, expected, evidence),
    ...judgeRevisions(evidence),
    ...evidence.leaks.map(({ where, connection }): Violation => ({
      invariant: 4,
      kind: 'value-outside',
      connection,
      what: `a value lies in ${where}`,
    })),
    ...judgeStores(evidence),
  ];
}

/** One line for each violation, for a test's message. */
export function describeViolations(violations: readonly Violation[]): string {
  return violations
    .map(({ invariant, kind, connection, what }) => `(${invariant}) ${kind} ${connection ?? '-'}: ${what}`)
    .join('\n');
}
