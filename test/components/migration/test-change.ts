/** Who changes the manager in tests that do it behind a worker's back. */
export const TEST_CHANGE = { actor: 'cli:test', detail: 'by a test', operation: null } as const;
