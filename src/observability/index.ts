/** Logs, metrics and what may be shown of an error. */
export { installCrashHandlers } from './crash.js';
export { EventLog, type EventCounters } from './event-log.js';
export { FailureLog } from './event-log.js';
export { createLogger, type Logger, type LoggerOptions } from './logger.js';
export { Metrics, type BacklogCounts } from './metrics.js';
export { errorLabel, safeError, type SafeError } from './logger.js';
export { logTidied } from './event-log.js';
