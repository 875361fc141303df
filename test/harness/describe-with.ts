import { describe, it } from 'vitest';
import { givenAddress } from './parts/compose.js';
import {
  messageOf,
  partsAreRequired,
  type Addresses,
  type OwnPartName,
  type PartName,
  type PartState,
  type PartStates,
} from './names.js';
import { TOOL_CHECKS } from './parts.js';

/** The parts' states in this test process; null in a suite without parts. */
let states: PartStates | null = null;

/** The setup file of the suites with parts calls this before any test file is loaded. */
export function setPartStates(known: PartStates): void {
  states = known;
}

/** Long, because servers start slowly on a busy machine. A test may set its own time-out. */
const OWN_TIMEOUT_MS = 300_000;

/**
 * A `describe` for tests that need real parts; `define` gets their addresses. If a part is missing, the group has one test
 * instead. It is skipped and its title gives the reason; with `CI=true` it fails.
 */
export function describeWith<const P extends PartName>(
  parts: readonly P[],
  title: string,
  define: (addresses: Addresses<P>) => void,
): void {
  const asked = parts.map((part) => ({ part, state: partState(part) }));
  const missing = asked.flatMap(({ part, state }) => (state.up ? [] : [`${part}: ${state.reason}`]));
  const addresses = Object.fromEntries(
    asked.map(({ part, state }) => [part, state.up ? state.address : '']),
  ) as Record<P, string>;
  describeUnless(missing, title, () => {
    define(addresses);
  });
}

/**
 * The same for tests that start their own servers (`startKafka()` …) as processes of this machine. Checks whether their
 * programs are installed.
 */
export function describeWithOwn(parts: readonly OwnPartName[], title: string, define: () => void): void {
  const missing = parts.flatMap((part) => {
    try {
      TOOL_CHECKS[part]();
      return [];
    } catch (error) {
      return [`${part}: ${messageOf(error)}`];
    }
  });
  describeUnless(missing, title, define, { timeout: OWN_TIMEOUT_MS });
}

/** The state of a part in this run, for a test that can do without it. */
export function partState(part: PartName): PartState {
  const given = givenAddress(part);
  if (given !== undefined) return { up: true, address: given };
  return states?.[part] ?? { up: false, reason: 'this suite starts no parts' };
}

/** The address of a part inside of a {@link describeWith} that names it. */
export function usePart(part: PartName): string {
  const state = partState(part);
  if (!state.up) throw new Error(`${part} is missing: ${state.reason}`);
  return state.address;
}

function describeUnless(
  missing: readonly string[],
  title: string,
  define: () => void,
  options: { readonly timeout?: number } = {},
): void {
  if (missing.length === 0) {
    describe(title, options, define);
    return;
  }
  const reason = missing.join('; ');
  describe(title, () => {
    if (partsAreRequired()) {
      it('has its parts', () => {
        throw new Error(`missing, and CI=true: ${reason}`);
      });
    } else {
      it.skip(`needs parts that are missing: ${reason.split('\n')[0] ?? ''}`);
    }
  });
}
