/** Logs, metrics and the parts of an error that may be shown. */
export { installCrashHandlers } from './crash.js';
export { EventLog, FailureLog, logTidied, managerLog, type EventCounters } from './event-log.js';
export {
  createLogger,
  errorLabel,
  safeError,
  type Logger,
  type LoggerOptions,
  type SafeError,
} from './logger.js';
export { Metrics, type BacklogCounts } from './metrics.js';
