import { composePart, dockerAnswers, givenAddress } from './parts/compose.js';
import { checkKafkaTools, launchKafka } from './parts/kafka.js';
import { checkKubernetesTools } from './parts/kube-apiserver.js';
import type { PartHandle } from './parts/local-part.js';
import { checkMariadbTools, launchMariadb } from './parts/mariadb.js';
import { checkMotoTools, launchMoto } from './parts/moto.js';
import { checkPostgresTools, launchPostgres } from './parts/postgres.js';
import {
  messageOf,
  PART_NAMES,
  wantedParts,
  type OwnPartName,
  type PartName,
  type PartState,
  type PartStates,
} from './names.js';

/** Starts each part as a process of this machine. */
export const LAUNCHERS: Record<PartName, () => Promise<PartHandle>> = {
  kafka: () => launchKafka(),
  postgres: launchPostgres,
  mariadb: launchMariadb,
  moto: launchMoto,
};

/** Throws an error that names the missing program if the launcher could not start its part. */
export const TOOL_CHECKS: Record<OwnPartName, () => void> = {
  kafka: checkKafkaTools,
  postgres: checkPostgresTools,
  mariadb: checkMariadbTools,
  moto: checkMotoTools,
  kubernetes: checkKubernetesTools,
};

export interface StartedParts {
  readonly states: PartStates;
  /** Stops the parts that were started here, and not those that were running before. */
  stop(): Promise<void>;
}

interface Started {
  readonly address: string;
  readonly how: string;
  readonly dispose: () => Promise<void>;
}

type Report = (line: string) => void;

/**
 * Finds or starts all wanted parts at the same time. It takes the address in a part's environment variable, else Docker
 * Compose if an engine answers, else a process of this machine. It does not fail if a part is missing: the part's state
 * says why.
 */
export async function startParts(report: Report): Promise<StartedParts> {
  const wanted = wantedParts();
  const docker = dockerAnswers();
  const disposals: (() => Promise<void>)[] = [];
  const entries = await Promise.all(
    PART_NAMES.map(async (part): Promise<[PartName, PartState]> => {
      if (!wanted.includes(part)) return [part, { up: false, reason: 'TEST_PARTS_ONLY does not name it' }];
      const begin = performance.now();
      try {
        const { address, how, dispose } = await startPart(part, docker, report);
        disposals.push(dispose);
        report(`${part}: ${how}, ${seconds(begin)} s`);
        return [part, { up: true, address }];
      } catch (error) {
        report(`${part}: missing after ${seconds(begin)} s: ${messageOf(error)}`);
        return [part, { up: false, reason: messageOf(error) }];
      }
    }),
  );
  const byName = Object.fromEntries(entries) as Record<PartName, PartState>;
  return {
    states: byName,
    stop: async () => {
      const ends = await Promise.allSettled(disposals.map((dispose) => dispose()));
      for (const end of ends) if (end.status === 'rejected') report(`not stopped: ${messageOf(end.reason)}`);
    },
  };
}

async function startPart(part: PartName, docker: Promise<boolean>, report: Report): Promise<Started> {
  const given = givenAddress(part);
  if (given !== undefined) return { address: given, how: 'as configured', dispose: async () => undefined };
  if (await docker) {
    try {
      const container = await composePart(part);
      return { address: container.address, how: 'Docker Compose', dispose: () => container.dispose() };
    } catch (error) {
      report(`${part}: Docker Compose failed, trying a local process: ${messageOf(error)}`);
    }
  }
  const handle = await LAUNCHERS[part]();
  return { address: handle.address, how: 'local process', dispose: () => handle.dispose() };
}

function seconds(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(1);
}
