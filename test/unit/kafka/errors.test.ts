import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { WorkerError } from '../../../src/errors.js';
import {
  brokerErrorName,
  brokerUnavailable,
  fatalError,
  isCoordinatorStarting,
  isMembershipError,
  isUnreachable,
  withoutText,
} from '../../../src/kafka/errors.js';

const kafkaError = (name: string, properties: object = {}): Error =>
  Object.assign(new Error('a text with hunter2'), { name, ...properties });

describe('errors of brokers', () => {
  it('are known by Kafka’s name, however deep they are wrapped', () => {
    const protocol = kafkaError('KafkaJSProtocolError', { type: 'NOT_LEADER_FOR_PARTITION' });
    const wrapped = kafkaError('KafkaJSNumberOfRetriesExceeded', {
      cause: kafkaError('x', { cause: protocol }),
    });
    expect(brokerErrorName(wrapped)).toBe('NOT_LEADER_FOR_PARTITION');
    expect(brokerErrorName(kafkaError('KafkaJSConnectionError', { code: 'ECONNREFUSED' }))).toBe(
      'ECONNREFUSED',
    );
    expect(brokerErrorName('hunter2')).toBe('UnknownError');
  });

  it('never carry their text on', () => {
    const error = kafkaError('KafkaJSError');
    const made = [brokerUnavailable('sending', error), fatalError(error), withoutText(error)];
    expect(inspect(made, { depth: 9, showHidden: true })).not.toContain('hunter2');
    expect(made[0]).toMatchObject({ code: 'BROKER_UNAVAILABLE', retryable: true });
  });

  it('are classified: no broker, coordinator starting, no longer a member', () => {
    const type = (name: string): Error => kafkaError('KafkaJSProtocolError', { type: name });
    expect(
      isUnreachable(
        kafkaError('KafkaJSNumberOfRetriesExceeded', { cause: kafkaError('KafkaJSConnectionError') }),
      ),
    ).toBe(true);
    expect(isUnreachable(type('GROUP_AUTHORIZATION_FAILED'))).toBe(false);
    expect(isCoordinatorStarting(type('GROUP_COORDINATOR_NOT_AVAILABLE'))).toBe(true);
    expect(isMembershipError(type('ILLEGAL_GENERATION'))).toBe(true);
    expect(isMembershipError(type('UNKNOWN_TOPIC_OR_PARTITION'))).toBe(false);
  });

  it('let a WorkerError through as it is', () => {
    const inner = new WorkerError('STORE_ACCESS', 'denied');
    expect(fatalError(kafkaError('KafkaJSNonRetriableError', { cause: inner }))).toBe(inner);
  });

  it('say why there is no token for the login, and count as an unreachable broker', () => {
    const noToken = new WorkerError('BROKER_UNAVAILABLE', 'the endpoint gave no token: status 503');
    const error = kafkaError('KafkaJSNonRetriableError', { cause: noToken });
    expect(brokerUnavailable('sending', error).message).toBe(
      'sending failed: the endpoint gave no token: status 503',
    );
    expect(isUnreachable(error)).toBe(true);
    expect(isUnreachable(new WorkerError('STORE_ACCESS', 'denied'))).toBe(false);
  });
});
