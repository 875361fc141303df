import { WorkerError } from '../errors.js';
import { safeError } from '../observability/logger.js';

/**
 * kafkajs wraps errors in errors. The innermost one says what happened; its `type` is Kafka's own name for a
 * protocol error. Only names are taken: texts of brokers and drivers stay out of logs and messages.
 */
function rootCause(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 10; depth += 1) {
    const next: unknown =
      field(current, 'cause') ?? field(current, 'originalError') ?? firstOfPartitions(current);
    if (next === undefined || next === null || next === current) return current;
    current = next;
  }
  return current;
}

/** What deleting records failed with is told for each partition. */
function firstOfPartitions(error: unknown): unknown {
  const partitions = field(error, 'partitions');
  return Array.isArray(partitions) ? field(partitions[0], 'error') : undefined;
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/**
 * Kafka's name of the error (`NOT_LEADER_FOR_PARTITION`), else Node's (`ECONNREFUSED`), else the class's name. An error
 * of our own that came through kafkajs (no token to log in with) says itself what happened.
 */
export function brokerErrorName(error: unknown): string {
  const root = rootCause(error);
  if (root instanceof WorkerError) return root.message;
  return (
    text(field(root, 'type')) ??
    text(field(error, 'type')) ??
    text(field(root, 'code')) ??
    text(field(root, 'name')) ??
    'UnknownError'
  );
}

/** Where the broker did not answer at all: waited for, whatever it takes. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSLockTimeout',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'BrokerTimeout',
]);

/** Where the broker answers, but its group coordinator is not up yet: a fresh broker, or one that fails over. */
const COORDINATOR_STARTS: ReadonlySet<string> = new Set([
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR_FOR_GROUP',
  'LEADER_NOT_AVAILABLE',
  'KafkaJSGroupCoordinatorNotFound',
]);

function isNamedIn(names: ReadonlySet<string>, error: unknown): boolean {
  const root = rootCause(error);
  return [root, error].some((each) =>
    ['name', 'type'].some((property) => {
      const value = field(each, property);
      return typeof value === 'string' && names.has(value);
    }),
  );
}

/** Whether no broker answers, or there is no token to ask it with: who gives tokens can be away as well. */
export const isUnreachable = (error: unknown): boolean => {
  const root = rootCause(error);
  return root instanceof WorkerError ? root.code === 'BROKER_UNAVAILABLE' : isNamedIn(UNREACHABLE, error);
};

/** Whether the broker answers, but its group coordinator is not up yet. */
export const isCoordinatorStarting = (error: unknown): boolean => isNamedIn(COORDINATOR_STARTS, error);

/** Whether it is a matter of waiting until the broker, or its group coordinator, is there. */
export const isWaitingForBroker = (error: unknown): boolean =>
  isUnreachable(error) || isCoordinatorStarting(error);

/** Errors that say: the group has moved on, this member's generation is over. */
const MEMBERSHIP: ReadonlySet<string> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
]);

export const isMembershipError = (error: unknown): boolean => MEMBERSHIP.has(brokerErrorName(error));

/** Whether kafkajs thinks that another attempt could work. */
export function isRetriable(error: unknown): boolean {
  const root = rootCause(error);
  return field(root, 'retriable') === true || isWaitingForBroker(error);
}

/** Failures of authentication and authorisation. */
const REFUSED: ReadonlySet<string> = new Set([
  'KafkaJSSASLAuthenticationError',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'ILLEGAL_SASL_STATE',
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
]);

/** Whether the broker answers and refuses, by the name that {@link brokerErrorName} gives. */
export const isAccessName = (name: string): boolean => REFUSED.has(name);

/** A `transient` error that names the call and the broker's error, and nothing else of it. */
export function brokerUnavailable(call: string, error: unknown): WorkerError {
  const name = brokerErrorName(error);
  return new WorkerError(
    isAccessName(name) ? 'BROKER_ACCESS' : 'BROKER_UNAVAILABLE',
    `${call} failed: ${name}`,
  );
}

/** What ends a consumer for good. A WorkerError of the handler comes through as it is. */
export function fatalError(error: unknown): WorkerError {
  if (error instanceof WorkerError) return error;
  const root = rootCause(error);
  if (root instanceof WorkerError) return root;
  return new WorkerError('INTERNAL', `the consumer stopped: ${brokerErrorName(error)}`);
}

/** A stranger's error with its class and the places in the code only: its text may quote what it was given. */
export function withoutText(error: unknown): Error {
  const shown = safeError(error);
  const [name, frames] = 'code' in shown ? [shown.code, []] : [shown.name, shown.frames];
  const bare = new Error(name);
  bare.stack = [name, ...frames.map((frame) => `    ${frame}`)].join('\n');
  return bare;
}
