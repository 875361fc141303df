import { ERROR_CODES, WorkerError } from '../errors.js';
import { safeError } from '../observability/logger.js';

/** The result of one check of `doctor`. */
export interface CheckResult {
  readonly check: string;
  readonly result: 'ok' | 'warning' | 'failed' | 'skipped';
  readonly detail: string;
  readonly code: string | null;
  /** What to do; null where nothing has to be done. */
  readonly remedy: string | null;
}

const found =
  (result: CheckResult['result']) =>
  (check: string, detail: string, remedy: string | null = null, code: string | null = null): CheckResult => {
    return { check, result, detail, code, remedy };
  };

export const ok = found('ok');
export const warned = found('warning');
export const failed = found('failed');
export const skipped = found('skipped');

export const NOT_STARTED = 'no worker has started on this database yet';

/** Runs a check. An error becomes its result. */
export async function attempt(
  check: string,
  look: () => Promise<CheckResult | readonly CheckResult[]>,
): Promise<readonly CheckResult[]> {
  try {
    const results = await look();
    return 'check' in results ? [results] : results;
  } catch (error) {
    if (error instanceof WorkerError) {
      const { message, code } = error;
      return [failed(check, message, failedRemedy(error), code)];
    }
    const shown = safeError(error);
    return [
      failed(check, 'name' in shown ? shown.name : shown.code, ERROR_CODES.INTERNAL.remedy, 'INTERNAL'),
    ];
  }
}

/** Which setting or permission it is, the store's own message says. The usual remedies say that a worker tries again by itself. Who runs `doctor` wants to know what to look at. */
function failedRemedy(error: WorkerError): string {
  switch (error.code) {
    case 'DATABASE_UNAVAILABLE':
      return 'Check DATABASE_URL, and that the server runs and can be reached from here.';
    case 'BROKER_UNAVAILABLE':
      return 'Check KAFKA_BROKERS and the login, and that a broker can be reached from here.';
    case 'STORE_UNAVAILABLE':
      return 'Check the address of the store, and that it can be reached from here.';
    case 'STORE_ACCESS':
      return 'Renew the credentials of the store, or grant the permissions that its page in docs/providers lists.';
    default:
      return error.remedy;
  }
}
