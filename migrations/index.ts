import { Initial1790000000000 } from './1790000000000-initial.js';

/** Every migration, oldest first. Listed by hand: what runs is what a review saw. */
export const MIGRATIONS = [Initial1790000000000] as const;
