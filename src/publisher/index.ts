/** `@connection-secrets/publisher`: for a metadata server that publishes its changes (docs/publishing.md). */
export { ConfigurationError, EventError, WorkerError } from '../errors.js';
export type { CloudEventMode } from '../events/cloud-event.js';
export type { SourceTopics } from '../events/decode.js';
export type { KafkaSasl, KafkaTls } from '../kafka/settings.js';
export { SecretValue } from '../secret-value.js';
export type { EventType, Json, JsonObject } from '../terms.js';
export type { EntityChange } from './change.js';
export type { ChangeRecord } from './change-record.js';
export { publisherFromEnv } from './from-env.js';
export { createChangeSealer, createPublisher } from './publisher.js';
export type { ChangeSealer, Publisher, PublisherOptions, SealerOptions, SealingRules } from './publisher.js';
