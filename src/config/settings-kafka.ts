import {
  listOf,
  matching,
  oneOf,
  readableFile,
  secretText,
  text,
  trueOrFalse,
  httpUrl,
  wholeNumber,
} from './forms.js';
import { brokerAddress, topicName } from './kafka-forms.js';
import { settingsOf } from './setting.js';

const kafka = settingsOf('Kafka');
const label = matching(/^[\x21-\x7e]{1,249}$/, '1 to 249 printable ASCII characters without spaces');

export const KAFKA_SETTINGS = {
  KAFKA_BROKERS: kafka(listOf(brokerAddress), {
    meaning: 'Brokers to start from. Needed by `start` and the commands that talk to Kafka.',
    example: 'kafka-1:9092,kafka-2:9092',
  }),
  KAFKA_GROUP_ID: kafka(label, { meaning: 'Consumer group of all workers.', default: 'connection-secrets' }),
  KAFKA_CLIENT_ID: kafka(label, {
    meaning: 'Name under which the brokers log this client.',
    default: 'connection-secrets',
  }),
  KAFKA_SESSION_TIMEOUT_MS: kafka(wholeNumber(1_000, 1_800_000), {
    meaning: 'Milliseconds after which the group gives a silent worker’s partitions to others.',
    default: '30000',
  }),
  KAFKA_REBALANCE_TIMEOUT_MS: kafka(wholeNumber(1_000, 3_600_000), {
    meaning:
      'Milliseconds that a rebalance waits for workers; at least the session’s. Unset: 60000, or the session’s.',
  }),
  KAFKA_SSL: kafka(trueOrFalse, { meaning: 'Whether to talk TLS to the brokers.', default: 'false' }),
  KAFKA_SSL_CA_FILE: kafka(readableFile, {
    meaning: 'PEM file of the authorities to trust. Unset: the system’s.',
  }),
  KAFKA_SSL_CERT_FILE: kafka(readableFile, {
    meaning: 'PEM file of our certificate; with KAFKA_SSL_KEY_FILE.',
  }),
  KAFKA_SSL_KEY_FILE: kafka(readableFile, { meaning: 'PEM file of its key; with KAFKA_SSL_CERT_FILE.' }),
  KAFKA_SASL_MECHANISM: kafka(oneOf(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']), {
    meaning: 'How to log in. Unset: no login.',
  }),
  KAFKA_SASL_USERNAME: kafka(text, { meaning: 'User of `plain` and `scram-…`.' }),
  KAFKA_SASL_PASSWORD: kafka(secretText, { meaning: 'Password of `plain` and `scram-…`.', secret: true }),
  KAFKA_SASL_OAUTHBEARER_TOKEN: kafka(secretText, {
    meaning: '`oauthbearer`: a fixed token. One of token, token file and token endpoint is needed.',
    secret: true,
  }),
  KAFKA_SASL_OAUTHBEARER_TOKEN_FILE: kafka(readableFile, {
    meaning: '`oauthbearer`: a file that holds the token, read anew for each login.',
  }),
  KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT: kafka(httpUrl, {
    meaning: '`oauthbearer`: address that gives tokens for client credentials.',
    example: 'https://login.example/oauth2/token',
  }),
  KAFKA_SASL_OAUTHBEARER_CLIENT_ID: kafka(text, { meaning: 'Client id for the token endpoint.' }),
  KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET: kafka(secretText, {
    meaning: 'Client secret for the token endpoint.',
    secret: true,
  }),
  KAFKA_SASL_OAUTHBEARER_SCOPE: kafka(text, { meaning: 'Scope to ask the token endpoint for.' }),
  PURGE_SOURCE: kafka(oneOf(['off', 'secured']), {
    meaning:
      '`secured`: delete source records (which may hold plain values) once everything up to them is secured. They cannot ' +
      'be replayed afterwards, nor read by anybody else: see docs/replay.md.',
    default: 'off',
  }),
};

const topics = settingsOf('Topics');

export const TOPIC_SETTINGS = {
  TOPIC_CREATED: topics(topicName, {
    meaning: 'Source events of created connections. All three source topics may be one.',
    default: 'connection.created',
  }),
  TOPIC_UPDATED: topics(topicName, {
    meaning: 'Source events of updated connections.',
    default: 'connection.updated',
  }),
  TOPIC_DELETED: topics(topicName, {
    meaning: 'Source events of deleted connections.',
    default: 'connection.deleted',
  }),
  TOPIC_SECURED: topics(topicName, {
    meaning: 'Secured events. Must not be a source topic.',
    default: 'connection.secured',
  }),
  TOPIC_DEAD_LETTER: topics(topicName, {
    meaning: 'Dead letters. Must be neither a source topic nor the secured one.',
    default: 'connection.dead-letter',
  }),
};
