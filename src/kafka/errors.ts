import { WorkerError } from '../errors.js';
import { safeError } from '../observability/logger.js';

/**
 * kafkajs wraps errors in errors. The innermost one says what happened; its `type` is Kafka's own name for a
 * protocol error. We take only names: the texts of brokers and drivers stay out of logs and messages.
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

/** An error of DeleteRecords has one error per partition: the first one. */
function firstOfPartitions(error: unknown): unknown {
  const partitions = field(error, 'partitions');
  return Array.isArray(partitions) ? field(partitions[0], 'error') : undefined;
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;
}

const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

/**
 * Kafka's name of the error (`NOT_LEADER_FOR_PARTITION`), else Node's (`ECONNREFUSED`), else the class's name. For our
 * own error that came through kafkajs (we have no token to log in with) it is the message.
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

/** Errors that say that no broker answered. We wait for the broker, however long it takes. */
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

/** Errors of a broker whose group coordinator is not up yet: it has just started, or fails over. */
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

/** Whether no broker answers, or no token could be fetched for the login. */
export const isUnreachable = (error: unknown): boolean => {
  const root = rootCause(error);
  return root instanceof WorkerError ? root.code === 'BROKER_UNAVAILABLE' : isNamedIn(UNREACHABLE, error);
};

/** Whether a broker answers, but its group coordinator is not up yet. */
export const isCoordinatorStarting = (error: unknown): boolean => isNamedIn(COORDINATOR_STARTS, error);

/** Whether it helps to wait for the broker or its group coordinator. */
export const isWaitingForBroker = (error: unknown): boolean =>
  isUnreachable(error) || isCoordinatorStarting(error);

/** Errors that say that the group has rebalanced without this member. */
const MEMBERSHIP: ReadonlySet<string> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
]);

export const isMembershipError = (error: unknown): boolean => MEMBERSHIP.has(brokerErrorName(error));

/** Whether another attempt can succeed, as kafkajs sees it. */
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

/** Whether the broker refuses the login or a right. `name` is from {@link brokerErrorName}. */
export const isAccessName = (name: string): boolean => REFUSED.has(name);

/** A `transient` error with the call and the name of the broker's error, without its text. */
export function brokerUnavailable(call: string, error: unknown): WorkerError {
  const name = brokerErrorName(error);
  return new WorkerError(
    isAccessName(name) ? 'BROKER_ACCESS' : 'BROKER_UNAVAILABLE',
    `${call} failed: ${name}`,
  );
}

/** The error that ends a consumer. A WorkerError of the handler stays as it is. */
export function fatalError(error: unknown): WorkerError {
  if (error instanceof WorkerError) return error;
  const root = rootCause(error);
  if (root instanceof WorkerError) return root;
  return new WorkerError('INTERNAL', `the consumer stopped: ${brokerErrorName(error)}`);
}

/** An error that is not ours, reduced to its class and stack frames: its text may quote a value. */
export function withoutText(error: unknown): Error {
  const shown = safeError(error);
  const [name, frames] = 'code' in shown ? [shown.code, []] : [shown.name, shown.frames];
  const bare = new Error(name);
  bare.stack = [name, ...frames.map((frame) => `    ${frame}`)].join('\n');
  return bare;
}
