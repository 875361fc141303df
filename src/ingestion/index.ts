/** `@connection-secrets/ingestion`: for programs that connect to the data sources. docs/ingestion.md. */
export { ConfigurationError, EventError, WorkerError } from '../errors.js';
export type { KafkaSasl, KafkaTls } from '../kafka/settings.js';
export { SecretValue } from '../secret-value.js';
export type { StoreResult } from '../secrets-managers/port.js';
export type {
  Json,
  JsonObject,
  Operation,
  OtherWord,
  Reference,
  SecuredEvent,
  SecuredField,
} from '../terms.js';
export type { GivenUp, GiveUp, SecuredDelivery, SecuredHandler } from './deliveries.js';
export {
  NotAReferenceError,
  SealedReferenceError,
  SecretAccessError,
  SecretNotFoundError,
  SecretStoreUnavailableError,
  SecretUnreadableError,
  UnresolvedReferenceError,
} from './errors.js';
export type { UnresolvedReason } from './errors.js';
export { reveal } from './fill.js';
export type { Filled, FilledObject } from './fill.js';
export { ingestionFromEnv } from './from-env.js';
export type { IngestionSettings } from './from-env.js';
export type { SecuredConsumerState as SubscriptionState } from '../../consumers/secured-events.js';
export { createResolver } from './resolver.js';
export type { ResolvableEvent, ResolveOptions, Resolver, ResolverOptions } from './resolver.js';
export type { SecretReader, StoreAddress, StoreSettings } from './stores.js';
export { subscribeSecured } from './subscribe.js';
export type { KafkaAccess, SubscribeOptions, Subscription } from './subscribe.js';
