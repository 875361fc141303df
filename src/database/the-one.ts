import { ConfigurationError } from '../errors.js';

/** An id may be shortened to this many first characters. */
export const SHORTEST_PREFIX = 6;
/** The error names at most this many candidates. */
const NAMED = 10;

/** Something that a person may name by its id, the first characters of the id, or its name. */
export interface Nameable {
  readonly id: string;
  readonly name?: string | null;
}

/**
 * The candidate that `given` names: by its id, else by its name, else by the first characters of its id.
 * @param what what the candidates are, plural: `connections`
 * @throws ConfigurationError USAGE_INVALID if there is none, or if there are several, which it lists
 */
export function theOne<T extends Nameable>(given: string, candidates: readonly T[], what: string): T {
  const ways: ((one: T) => boolean)[] = [
    ({ id }) => id === given,
    ({ name }) => name === given,
    ({ id }) => given.length >= SHORTEST_PREFIX && id.startsWith(given),
  ];
  const meant = ways.map((isMeant) => candidates.filter(isMeant)).find(({ length }) => length > 0) ?? [];
  const [one, ...others] = meant;
  if (one === undefined)
    throw new ConfigurationError(
      'USAGE_INVALID',
      `none of the ${what} has this id, or one that begins with it (${SHORTEST_PREFIX} characters at least)`,
    );
  if (others.length === 0) return one;
  const named = meant.slice(0, NAMED).map(({ id, name }) => (name == null ? `  ${id}` : `  ${id}  ${name}`));
  const more = meant.length > NAMED ? ['  …'] : [];
  throw new ConfigurationError(
    'USAGE_INVALID',
    [`several ${what} may be meant:`, ...named, ...more].join('\n'),
  );
}
