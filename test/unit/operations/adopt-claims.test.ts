import { describe, expect, it } from 'vitest';
import {
  judgeClaims,
  type Claimant,
  type ClaimKind,
  type InStore,
} from '../../../src/operations/adopt/claims.js';

const UNTAGGED: InStore = { ownedBy: null, scheduledForDeletion: false };
const claim = (connectionId: string, kind: ClaimKind = 'refers'): Claimant => ({
  connectionId,
  kind,
  name: null,
  entityType: null,
  path: '/connection/config/password',
});

describe('which connection gets a secret of the store', () => {
  it.each<[string, InStore, Claimant[], string | null, unknown]>([
    [
      'one claims it',
      UNTAGGED,
      [claim('a'), claim('a', 'writes')],
      null,
      { kind: 'adopt', connectionId: 'a' },
    ],
    ['nobody claims it', UNTAGGED, [], null, { reason: 'several' }],
    ['two events claim it', UNTAGGED, [claim('a'), claim('b')], null, { reason: 'several' }],
    [
      'an event and a stored field claim it',
      UNTAGGED,
      [claim('a'), claim('b', 'has')],
      null,
      { reason: 'several' },
    ],
    ['one of two was chosen', UNTAGGED, [claim('a'), claim('b')], 'b', { kind: 'adopt', connectionId: 'b' }],
    ['a stranger was chosen', UNTAGGED, [claim('a'), claim('b')], 'c', { reason: 'several' }],
    ['another row owns it', UNTAGGED, [claim('a'), claim('b', 'owns')], 'a', { reason: 'several' }],
    ['another field names it', UNTAGGED, [claim('a'), claim('b', 'names')], 'a', { reason: 'several' }],
    ['the store has none', null, [claim('a')], 'a', { reason: 'absent' }],
    [
      'its deletion is scheduled',
      { ownedBy: null, scheduledForDeletion: true },
      [claim('a')],
      'a',
      { reason: 'deleted' },
    ],
    [
      'its tags name another',
      { ownedBy: 'z', scheduledForDeletion: false },
      [claim('a')],
      'a',
      { reason: 'owned' },
    ],
  ])('%s', (_, inStore, claimants, chosen, verdict) => {
    expect(judgeClaims(inStore, claimants, chosen)).toMatchObject(verdict as object);
  });
});
