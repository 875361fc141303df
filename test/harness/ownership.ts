import { Ownership } from '../../src/secrets-managers/ownership.js';
import type { Installation } from '../../src/terms.js';

/** The installation that tests of a store use. */
export const TEST_INSTALLATION: Installation = { id: 'a5c0ffee-0000-4000-8000-000000000001', tagged: 'all' };

export const testOwnership = (): Ownership => new Ownership({ installation: TEST_INSTALLATION, tags: [] });
