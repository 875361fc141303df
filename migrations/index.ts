import { Initial1790000000000 } from './1790000000000-initial.js';
import { AuditEvents1791000200000 } from './1791000200000-audit-events.js';
import { ReferenceDigest1791000300000 } from './1791000300000-reference-digest.js';
import { Lookups1791000500000 } from './1791000500000-lookups.js';
import { ContentDigest1791000600000 } from './1791000600000-content-digest.js';
import { OutboxOnDemand1791000700000 } from './1791000700000-outbox-on-demand.js';

/** Every migration, oldest first. Listed by hand: what runs is what a review saw. */
export const MIGRATIONS = [
  Initial1790000000000,
  AuditEvents1791000200000,
  ReferenceDigest1791000300000,
  Lookups1791000500000,
  ContentDigest1791000600000,
  OutboxOnDemand1791000700000,
] as const;
