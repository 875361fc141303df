import { requireMessage } from './asyncapi.js';
import type { KafkaRecord } from './asyncapi.js';

export { schema, type SchemaName } from './json-schemas.js';

/** Throws unless a record of the secured topic is as docs/asyncapi.yaml says, in either mode of CloudEvents. */
export function requireSecuredSchema(record: KafkaRecord): void {
  requireMessage('secured', record);
}

/** The same for a dead letter. */
export function requireDeadLetterSchema(record: KafkaRecord): void {
  requireMessage('deadLetter', record);
}
