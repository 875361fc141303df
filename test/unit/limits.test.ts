import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/limits.js';

describe('limits', () => {
  it('stand in docs/events.md, each with its refusal', () => {
    const docs = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
    const section = docs.split('### Limits')[1]?.split('\n### ')[0] ?? '';
    const rows = section.split('\n').filter((line) => /^\| .* \| [\d,]+ \| .+ \|$/.test(line));
    const documented = rows.map((row) => Number((row.split(' | ')[1] ?? '').replaceAll(',', '')));
    expect(documented.sort((a, b) => a - b)).toEqual([...Object.values(LIMITS)].sort((a, b) => a - b));
    expect(rows.every((row) => /`[A-Z_]+`/.test(row))).toBe(true);
  });
});
