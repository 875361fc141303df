import type { AuthenticationProviderArgs, Mechanism } from 'kafkajs';
import type { SecretValue } from '../secret-value.js';

const SEPARATOR = '\u0001';
const LENGTH_BYTES = 4;

/**
 * OAUTHBEARER. kafkajs's own never reads the broker's answer: it takes a refused token for a login, and the next request
 * fails because the connection is closed.
 *
 * A broker refuses in two steps. It first answers with a description and no error. The client acknowledges that with one
 * separator, and the broker then sends the error `SASL_AUTHENTICATION_FAILED`. Source: RFC 7628, sections 3.2.2 and 3.2.3.
 *
 * @param token called for each login, also for a new login within one connection
 */
export function oauthBearer(token: () => Promise<SecretValue>): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: (connection) => ({ authenticate: async () => authenticate(connection, token) }),
  };
}

async function authenticate(
  { host, port, logger, saslAuthenticate }: AuthenticationProviderArgs,
  token: () => Promise<SecretValue>,
): Promise<void> {
  const value = (await token()).reveal();
  const say = async (message: string): Promise<number> => {
    const answerBytes = await saslAuthenticate({
      request: { encode: () => withLength(message) },
      response: { decode: (answer) => answer, parse: (answer) => answer.length - LENGTH_BYTES },
    });
    return answerBytes ?? 0;
  };
  const answerBytes = await say(`n,,${SEPARATOR}auth=Bearer ${value}${SEPARATOR}${SEPARATOR}`);
  if (answerBytes === 0) return;
  // The description is the broker's text: it stays out of the log.
  logger.error('SASL OAUTHBEARER authentication failed', { broker: `${host}:${port}` });
  await say(SEPARATOR);
  throw new Error('the broker refused the token and named no error');
}

/** BYTES of Kafka's protocol: the length in big-endian, then the bytes. */
function withLength(message: string): Buffer {
  const bytes = Buffer.from(message);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
