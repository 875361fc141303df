/** The root of the package: the names and types of its events and errors, and its version. It loads no adapter. */
export { ConfigurationError, ERROR_CODES, EventError, WorkerError } from './errors.js';
export type { ErrorCode, ErrorKind, EventErrorCode } from './errors.js';
export { SecretValue } from './secret-value.js';
export { MANAGER_NAMES } from './secrets-managers/providers.js';
export { EVENT_TYPES, FERNET_PREFIX, MASK, SECRET_PREFIX, SERVICE_KINDS } from './terms.js';
export type {
  EventType,
  Json,
  JsonObject,
  ManagerName,
  Operation,
  OtherWord,
  Reference,
  SecuredEvent,
  SecuredField,
  ServiceKind,
} from './terms.js';
export { programVersion } from './version.js';
