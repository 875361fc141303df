import { logLevel } from 'kafkajs';
import type { logCreator, LogEntry } from 'kafkajs';
import type { Logger } from 'pino';
import type { TopicPartition } from './partitions.js';

/** The fields of a kafkajs log entry that we log. We drop all others (payloads, buffers, stacks, error texts). */
const SAFE_FIELDS = [
  'groupId',
  'memberId',
  'leaderId',
  'isLeader',
  'generationId',
  'topic',
  'partition',
  'offset',
  'broker',
  'clientId',
  'correlationId',
  'retryCount',
  'retryTime',
  'duration',
  'nodeId',
] as const;

const REPEAT_MS = 30_000;

/**
 * The words of a log entry before its first colon. These are always kafkajs's own; what follows may quote a broker (a SASL
 * server's answer, an error's text).
 */
function ownWords(entry: LogEntry): string {
  const words = entry.log.message.split(':', 1)[0] ?? '';
  return words.trim().slice(0, 120);
}

function safeFields(entry: LogEntry): Record<string, string | number | boolean> {
  const kept: Record<string, string | number | boolean> = {};
  for (const name of SAFE_FIELDS) {
    const value: unknown = entry.log[name];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      kept[name] = value;
  }
  return kept;
}

/** This line is kafkajs's only sign that a consumer's next record no longer exists. */
const OUT_OF_RANGE = 'Offset out of range, resetting to default offset';

/** Lets a line through once in {@link REPEAT_MS}, with the number of lines held back before. Null: held back. */
function createThrottle(nowMs: () => number): (key: string) => number | null {
  const seen = new Map<string, { untilMs: number; heldBack: number }>();
  return (key) => {
    const known = seen.get(key);
    if (known !== undefined && nowMs() < known.untilMs) {
      known.heldBack += 1;
      return null;
    }
    seen.set(key, { untilMs: nowMs() + REPEAT_MS, heldBack: 0 });
    return known?.heldBack ?? 0;
  };
}

/**
 * Sends kafkajs's log to pino without contents. Errors and warnings become `warn`, the same line at most twice a minute:
 * important ones also reach the caller as an error, who logs them. The rest becomes `debug`.
 */
export function createLogCreator(
  logger: Logger,
  nowMs: () => number = Date.now,
  onOutOfRange: (of: TopicPartition) => void = () => undefined,
): logCreator {
  const throttle = createThrottle(nowMs);
  return () => (entry) => {
    const { topic, partition, message } = entry.log as Readonly<Record<string, unknown>>;
    if (message === OUT_OF_RANGE && typeof topic === 'string' && typeof partition === 'number')
      onOutOfRange({ topic, partition });
    const fields = { component: 'kafkajs', namespace: entry.namespace, ...safeFields(entry) };
    const words = ownWords(entry);
    if (entry.level !== logLevel.ERROR && entry.level !== logLevel.WARN) {
      logger.debug(fields, words);
      return;
    }
    const heldBack = throttle(`${entry.namespace} ${words}`);
    if (heldBack === null) return;
    logger.warn(heldBack > 0 ? { ...fields, heldBack } : fields, words);
  };
}
