/** Numbers in [0, 1) from a seed (mulberry32), so that a failure comes again. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const ALPHABET = [
  ...'aAbBqQuUhHiIzZ09-_/._ ~%:@é',
  'İ',
  'ı',
  '\u212a',
  'ß',
  'e\u0301',
  '日',
  '😀',
  '\ud800',
  '\udc00',
  '\u0000',
  '__',
  '--',
  '//',
];

/** A short name with much of what makes names alike: case, separators, escape letters, characters beyond ASCII. */
export function randomName(random: () => number): string {
  const length = 1 + Math.floor(random() * 5);
  return Array.from({ length }, () => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? '').join('');
}
