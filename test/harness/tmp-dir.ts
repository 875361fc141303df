import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { disposeLater } from './cleanup.js';
import { forget, keep } from './reaper.js';

/** An empty folder. It is removed at the end of the test or the file. */
export function tmpDir(prefix = 'test'): string {
  const dir = mkdtempSync(join(tmpdir(), `csw-${prefix}-`));
  keep({ dir });
  disposeLater(() => {
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    forget({ dir });
  });
  return dir;
}

/** A unique name of `[a-z0-9-]`, for topics, groups, prefixes of secrets. */
export function freshName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
