import { openMigratedDatabase } from '../../worker/worker.js';
import type { Config } from '../../config.js';
import {
  connectionsAfter,
  countConnections,
  isAnyUnpublished,
  type ConnectionFilter,
  type ConnectionHead,
} from '../../database/connection-pages.js';
import { COMMAND_LOCK_WAIT_MS, type Database } from '../../database/database.js';
import { DatabaseLedger } from '../../database/ledger.js';
import { loadIdentity } from '../../database/settings.js';
import { ConfigurationError, EventError, WorkerError } from '../../errors.js';
import { pause } from '../../pause.js';
import { checkTopics, judgeTopicProblems } from '../../kafka/topic-checks.js';
import type { Logger } from '../../observability/index.js';
import type { ClaimRequest } from '../../pipeline/ledger.js';
import { Relay } from '../../pipeline/relay.js';
import { UnderClaim } from '../../pipeline/under-claim.js';
import { readingsOfState, type SecuredContext } from '../../pipeline/outbox.js';
import { kafkaSettings } from '../../kafka/settings-from-config.js';
import type { ManagerName } from '../../terms.js';
import type { Outlet } from '../../transport.js';
import { openOutlet } from '../outlet.js';
import type { Progress } from '../progress.js';
import { nextRevision, NOT_NEEDED } from '../republish.js';
import { securedContexts } from '../secured-contexts.js';
import { createReplay, saveReplay, type SecuredReplay } from './record.js';

export interface SecuredOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly request:
    | { readonly kind: 'start'; readonly filter: ConnectionFilter }
    | { readonly kind: 'resume'; readonly record: SecuredReplay };
  readonly onStart: (record: SecuredReplay) => void;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** How many connections there are in one transaction and one send. */
const PAGE = 64;
const BUSY_MS = 200;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;

/**
 * Publishes the present state of connections again, each as a new revision under its claim, without a call to the store.
 * Returns how far it came: `done`, `interrupted` by the signal, or `failed` if it could not publish some state, or an older
 * record that no key opens.
 */
export async function replaySecured(options: SecuredOptions): Promise<SecuredReplay> {
  const { config, logger } = options;
  const settings = kafkaSettings(config);
  judgeTopicProblems(await checkTopics(settings, config.topics, logger), logger);
  const { outlet, close } = await openOutlet(config, logger);
  try {
    const database = await openMigratedDatabase(config, COMMAND_LOCK_WAIT_MS);
    try {
      return await run(options, database, outlet);
    } finally {
      await database.close();
    }
  } finally {
    await close();
  }
}

async function run(options: SecuredOptions, database: Database, outlet: Outlet): Promise<SecuredReplay> {
  const { config, request } = options;
  const { keys, claims, secretsManager } = config;
  const identity = await loadIdentity(database, keys, secretsManager.name);
  const clock = (): number => performance.now();
  const { claimMs } = claims;
  const ledger = new DatabaseLedger(database, { claimMs, managerEpoch: identity.managerEpoch, clock });
  const contexts = securedContexts(config, identity);
  try {
    const context = await contexts.of(secretsManager.name);
    const underClaim = new UnderClaim({ ledger, outlet, context, clock });
    const relay = new Relay({ ledger, underClaim, outlet, context });
    const record = request.kind === 'resume' ? request.record : await begin(database, request.filter);
    const parts = { database, underClaim, relay, outlet, contextOf: contexts.of, rings: keys };
    return await new SecuredRun(options, parts, record).run();
  } finally {
    await contexts.close();
  }
}

async function begin(database: Database, filter: ConnectionFilter): Promise<SecuredReplay> {
  await requireKnown(database, filter);
  const progress = { after: '', published: 0, tooLarge: [], refused: [], unopened: [] };
  return createReplay<SecuredReplay>(database, { of: 'secured', parameters: filter, progress });
}

/** @throws ConfigurationError USAGE_INVALID naming the ids that the database does not know */
export async function requireKnown(database: Database, filter: ConnectionFilter): Promise<void> {
  const { connectionIds } = filter;
  if (connectionIds === null) return;
  const known = await connectionsAfter(database, { connectionIds, kinds: null }, '', Number.MAX_SAFE_INTEGER);
  const missing = connectionIds.filter((id) => !known.some((one) => one.id === id));
  if (missing.length > 0)
    throw new ConfigurationError('USAGE_INVALID', `the database knows no connection ${missing.join(', ')}`);
}

interface RunParts {
  readonly database: Database;
  readonly underClaim: UnderClaim;
  readonly relay: Relay;
  readonly outlet: Outlet;
  readonly contextOf: (manager: ManagerName) => Promise<SecuredContext>;
  /** Opens stored references. */
  readonly rings: SecuredContext['rings'];
}

function idsOf(failures: ReadonlyMap<string, EventError>, isTooLarge: boolean): string[] {
  return [...failures]
    .filter(([, { code }]) => (code === 'OUTPUT_TOO_LARGE') === isTooLarge)
    .map(([id]) => id);
}

class SecuredRun {
  readonly #options: SecuredOptions;
  readonly #parts: RunParts;
  #record: SecuredReplay;
  #total = 0;
  /** How many connections this run and earlier ones have finished. */
  #seen = 0;

  constructor(options: SecuredOptions, parts: RunParts, record: SecuredReplay) {
    this.#options = options;
    this.#parts = parts;
    this.#record = record;
  }

  async run(): Promise<SecuredReplay> {
    const { signal, onStart } = this.#options;
    const { database } = this.#parts;
    const { parameters, progress } = this.#record;
    onStart(this.#record);
    const counts = await countConnections(database, parameters);
    this.#total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    this.#seen = progress.published + progress.tooLarge.length + (progress.refused ?? []).length;
    this.#report();
    try {
      while (!signal.aborted) {
        const page = await connectionsAfter(database, parameters, this.#record.progress.after, PAGE);
        if (page.length === 0) return await this.#save(this.#left === 0 ? 'done' : 'failed');
        await this.#publishPage(page);
      }
    } catch (error) {
      await this.#save('interrupted').catch(() => undefined);
      throw error;
    }
    return this.#save('interrupted');
  }

  /** How many connections have something that could not be published. */
  get #left(): number {
    const { tooLarge, refused = [], unopened = [] } = this.#record.progress;
    return tooLarge.length + refused.length + unopened.length;
  }

  async #save(state: SecuredReplay['state']): Promise<SecuredReplay> {
    this.#record = { ...this.#record, state };
    await saveReplay(this.#parts.database, this.#record);
    return this.#record;
  }

  #report(): void {
    const { progress } = this.#options;
    progress.report({ done: this.#seen, total: Math.max(this.#total, this.#seen), failed: this.#left });
  }

  async #publishPage(page: readonly ConnectionHead[]): Promise<void> {
    const { signal } = this.#options;
    const failures = new Map<string, EventError>();
    const unopened = new Set<string>();
    let published = 0;
    let open = page;
    while (open.length > 0 && !signal.aborted) {
      const { committed, busy } = await this.#commit(open, failures, unopened);
      published += committed;
      open = busy;
      if (open.length > 0) await pause(BUSY_MS, signal);
    }
    // Interrupted within a page: a resumed replay begins the page again, so some connections get one more revision.
    if (open.length > 0) return;
    this.#seen += page.length;
    const { progress } = this.#record;
    this.#record = {
      ...this.#record,
      progress: {
        after: page.at(-1)?.id ?? progress.after,
        published: progress.published + published,
        tooLarge: [...progress.tooLarge, ...idsOf(failures, true)],
        refused: [...(progress.refused ?? []), ...idsOf(failures, false)],
        unopened: [...(progress.unopened ?? []), ...unopened],
      },
    };
    await this.#save('running');
    this.#report();
  }

  /** Commits a page in one transaction, and sends what it committed together with older unsent records that a key opens. */
  async #commit(
    page: readonly ConnectionHead[],
    failures: Map<string, EventError>,
    unopened: Set<string>,
  ): Promise<{ committed: number; busy: readonly ConnectionHead[] }> {
    const contexts = await this.#contexts(page);
    const tried: string[] = [];
    const busy: ConnectionHead[] = [];
    const reasons: unknown[] = [];
    let committed = 0;
    const publish = async (head: ConnectionHead): Promise<void> => {
      const request = this.#request(head, contexts, failures);
      const done = await this.#parts.underClaim.run(request, undefined, (unsent) => {
        for (const { code, message } of unsent.unopened) {
          unopened.add(head.id);
          this.#options.logger.warn({ connectionId: head.id, code }, `left out: ${message}`);
        }
        tried.push(head.id);
        return { send: unsent.opened.filter(({ isJudged }) => isJudged) };
      });
      if (done.kind === 'busy') busy.push(head);
      if (done.kind !== 'committed') return;
      committed += 1;
      if (done.unpublished !== null) reasons.push(done.unpublished);
    };
    const results = await Promise.allSettled(page.map(publish));
    for (const result of results) if (result.status === 'rejected') reasons.push(result.reason);
    if (reasons.length > 0) await this.#relayRest(tried, reasons[0]);
    return { committed, busy };
  }

  #request(
    { id: connectionId }: ConnectionHead,
    contexts: ReadonlyMap<ManagerName | null, SecuredContext>,
    failures: Map<string, EventError>,
  ): ClaimRequest<never> {
    const { logger } = this.#options;
    const maxBytes = this.#parts.outlet.maxRecordBytes('secured');
    return {
      connectionId,
      eventHash: null,
      secretIds: (connection, references) => readingsOfState(connection, references, this.#parts),
      decide: (state) => {
        if (state.connection.state === 'new') return NOT_NEEDED;
        const context = contexts.get(state.connection.manager);
        // Its manager has changed since the page was read, so it is read again.
        if (context === undefined) return { kind: 'later', waitMs: BUSY_MS };
        const decision = nextRevision(state, context, 'republished', maxBytes);
        if (!(decision instanceof EventError)) {
          failures.delete(connectionId);
          return decision;
        }
        failures.set(connectionId, decision);
        logger.warn({ connectionId, code: decision.code }, `not published again: ${decision.message}`);
        return NOT_NEEDED;
      },
    };
  }

  async #contexts(page: readonly ConnectionHead[]): Promise<Map<ManagerName | null, SecuredContext>> {
    const { database, contextOf } = this.#parts;
    const ids = page.map(({ id }) => id);
    const heads = await connectionsAfter(database, { connectionIds: ids, kinds: null }, '', ids.length);
    const contexts = new Map<ManagerName | null, SecuredContext>();
    for (const { manager } of heads)
      if (manager !== null && !contexts.has(manager)) contexts.set(manager, await contextOf(manager));
    return contexts;
  }

  /** After a failed send: waits until the claims expire, then lets the relay send the rest, however long that takes. */
  async #relayRest(connectionIds: readonly string[], reason: unknown): Promise<void> {
    const { signal, logger } = this.#options;
    let failure: unknown = reason;
    for (let delayMs = FIRST_DELAY_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)) {
      if (!(failure instanceof WorkerError && failure.retryable)) throw failure;
      logger.warn({ code: failure.code }, 'publishing failed and will be tried again');
      await pause(delayMs, signal);
      try {
        while (!signal.aborted && (await this.#parts.relay.run(signal)) > 0);
        if (!(await isAnyUnpublished(this.#parts.database, connectionIds))) return;
      } catch (error) {
        failure = error;
      }
    }
  }
}
