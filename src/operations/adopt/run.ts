import { openSecretsManager, openWorker, planContext } from '../../worker/worker.js';
import { COMMAND_LOCK_WAIT_MS } from '../../database/database.js';
import type { Config } from '../../config.js';
import { countKept } from '../../database/claimants.js';
import { ConfigurationError, WorkerError } from '../../errors.js';
import type { Logger } from '../../observability/index.js';
import { planAdoption, type AdoptPlan } from './plan.js';
import { operatorName } from '../../operator.js';
import { adoptionGrant } from '../../pipeline/state-change.js';
import { heldBack, openOutlet } from '../outlet.js';
import { readDatabase, requireIdentity } from '../open-database.js';

interface AdoptRequest {
  readonly config: Config<'keys'>;
  readonly logger: Logger;
  readonly chosen: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
}

export interface AdoptReport {
  readonly plan: AdoptPlan;
  /** How many events of the plan were applied. */
  readonly applied: number;
  readonly isDryRun: boolean;
}

/** Plans the adoption and changes nothing. */
export async function previewAdoption({ config, chosen, signal }: AdoptRequest): Promise<AdoptReport> {
  return readDatabase(config, async (database) => {
    const identity = await requireIdentity(database, config.keys);
    const manager = await openSecretsManager(config, config.keys);
    try {
      requireStore(manager);
      const context = planContext(config, manager, identity, heldBack(0));
      const plan = await planAdoption({ database, context, topics: config.topics, chosen }, signal);
      return { plan, applied: 0, isDryRun: true };
    } finally {
      await manager.store.close();
    }
  });
}

/** Plans the adoption, and applies the kept events whose secrets all go to their own connection. */
export async function runAdoption({ config, logger, chosen, signal }: AdoptRequest): Promise<AdoptReport> {
  const outlet = await openOutlet(config, logger);
  const grants = new Set<string>();
  try {
    const worker = await openWorker(config, {
      outlet: outlet.outlet,
      observer: { handled: () => undefined, failed: () => undefined },
      kafkaCluster: outlet.kafkaCluster,
      publishes: outlet.publishes,
      actor: operatorName(config),
      command: 'adopt',
      lockWaitMs: COMMAND_LOCK_WAIT_MS,
      grants,
    });
    try {
      const { database, context, pipeline, relay, manager } = worker;
      requireStore(manager);
      const plan = await planAdoption({ database, context, topics: config.topics, chosen }, signal);
      for (const { secretId, verdict } of plan.candidates)
        if (verdict.kind === 'adopt') grants.add(adoptionGrant(verdict.connectionId, secretId));
      for (const row of plan.events) {
        if (signal.aborted) break;
        await pipeline.retryNow(row, signal).catch((error: unknown) => {
          // Without a broker the event is applied, and the next `start` or `pipe` publishes it.
          if (outlet.publishes || !(error instanceof WorkerError && error.retryable)) throw error;
        });
      }
      if (outlet.publishes) await relay.run(signal);
      const kept = await countKept(
        database,
        plan.events.map(({ eventHash }) => eventHash),
      );
      return { plan, applied: plan.events.length - kept, isDryRun: false };
    } finally {
      await worker.close();
    }
  } finally {
    await outlet.close();
  }
}

function requireStore({ keeps, name }: { readonly keeps: string; readonly name: string }): void {
  if (keeps === 'store') return;
  throw new ConfigurationError(
    'CONFIG_INVALID',
    `SECRET_MANAGER=${name} stores values in the database, so there is no secret in a store to adopt`,
  );
}
