import fc from 'fast-check';
import { expect, it } from 'vitest';
import { change, decode, entity, record } from './support.js';

it('decoding changes nothing of what it accepts, and gives the same answer again', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (config) => {
      const state = entity({ connection: { config: { free: JSON.parse(JSON.stringify(config)) as null } } });
      const given = record(change({ entity: state }));
      const decoded = decode(given);
      const dropped = /[cC]hangeDescription/.test(JSON.stringify(config));
      fc.pre(!dropped);
      expect(decoded.kind === 'event' && decoded.event.entity).toEqual(state);
      expect(decode(given)).toEqual(decoded);
    }),
    { numRuns: 500 },
  );
});
