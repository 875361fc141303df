import type { Boundary, Circumstances } from './boundary.js';

const BETWEEN = ', ';

/**
 * Neighbours of one group, under the same circumstances, that one world comes to one after another. What a cell costs is
 * its processes; a chain shares them.
 */
export function chainsOf(boundaries: readonly Boundary[]): (readonly Boundary[])[] {
  const chains: Boundary[][] = [];
  for (const boundary of boundaries) {
    const chain = chains.at(-1);
    const [first] = chain ?? [];
    if (chain !== undefined && first !== undefined && canFollow(boundary, first, chain.length))
      chain.push(boundary);
    else chains.push([boundary]);
  }
  return chains;
}

/** All kills of the chain in one boundary. */
export function joined(chain: readonly [Boundary, ...Boundary[]]): Boundary {
  return {
    ...chain[0],
    id: chain.map(({ id }) => id).join(BETWEEN),
    meaning: chain.map(({ meaning }) => meaning).join(BETWEEN),
    kafka: chain.flatMap(({ kafka }) => kafka ?? []),
    pipe: chain.flatMap(({ pipe }) => pipe ?? []),
  };
}

/** Of the boundaries that it was {@link joined} of. */
export function idsOf({ id }: Boundary): string[] {
  return id.split(BETWEEN);
}

function canFollow(boundary: Boundary, first: Boundary, length: number): boolean {
  return length < longestOf(first) && placeOf(boundary) === placeOf(first);
}

/** How often a world comes to such a place, as far as that is sure. */
function longestOf(boundary: Boundary): number {
  // There is only so much to move, and what is moved together is published together.
  if (boundary.migrates === true) return 2;
  return Object.keys(circumstancesOf(boundary)).every((name) => name === 'atStart') ? 4 : 1;
}

function placeOf(boundary: Boundary): string {
  const { id, kafka, pipe } = boundary;
  const group = id.slice(0, id.indexOf('/'));
  return JSON.stringify([group, circumstancesOf(boundary), kafka === null, pipe === null]);
}

function circumstancesOf(boundary: Boundary): Circumstances {
  const { id: _id, meaning: _meaning, kafka: _kafka, pipe: _pipe, ...circumstances } = boundary;
  return circumstances;
}
