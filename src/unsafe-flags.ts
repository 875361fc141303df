const FLAGS = ['KAFKAJS_DEBUG_PROTOCOL_BUFFERS', 'KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS'];

/**
 * Variables with which kafkajs writes whole requests and responses to its log, passwords included. It takes only `1` for
 * on; here any text counts, since another version of it may take another one.
 */
export function unsafeFlagsIn(env: Readonly<Record<string, string | undefined>>): string[] {
  return FLAGS.filter((name) => (env[name] ?? '') !== '');
}
