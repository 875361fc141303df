import { accessSync, constants } from 'node:fs';
import { ConfigurationError } from '../errors.js';
import { KeyRing } from '../fernet/key-ring.js';
import { SecretValue } from '../secret-value.js';
import { Refusal, type Form } from './setting.js';

/** A text as it is. */
export const text: Form<string> = { form: 'text', parse: (given) => given };

/** A text that does not print itself. Not trimmed: white space may belong to a password. */
export const secretText: Form<SecretValue> = { form: 'text', parse: (given) => new SecretValue(given) };

/** A whole number within bounds, in plain digits. */
export function wholeNumber(min: number, max: number): Form<number> {
  const form = `whole number from ${min} to ${max}`;
  return {
    form,
    parse: (given) => {
      const value = /^\d{1,15}$/.test(given) ? Number(given) : Number.NaN;
      if (!(value >= min && value <= max)) throw new Refusal(`must be a ${form}`);
      return value;
    },
  };
}

/** Any number above zero, also a fraction. */
export const positiveNumber: Form<number> = {
  form: 'number above 0',
  parse: (given) => {
    const value = /^\d{1,9}(\.\d{1,9})?$|^\.\d{1,9}$/.test(given) ? Number(given) : 0;
    if (value <= 0) throw new Refusal('must be a number above 0, such as 20 or 0.5');
    return value;
  },
};

/** One of a few words; capitals do not matter. `aliases` maps other words to them. */
export function oneOf<const W extends string>(
  words: readonly W[],
  aliases: Readonly<Record<string, W>> = {},
): Form<W> {
  const aliasNames = Object.keys(aliases);
  const also = aliasNames.length === 0 ? '' : ` (also ${aliasNames.join(', ')})`;
  const form = words.join(' \\| ') + also;
  const list = words.join(', ') + also;
  return {
    form,
    parse: (given) => {
      const lower = given.toLowerCase();
      const word = words.find((each) => each === lower) ?? new Map(Object.entries(aliases)).get(lower);
      if (word === undefined) throw new Refusal(`must be one of: ${list}`);
      return word;
    },
  };
}

export const trueOrFalse: Form<boolean> = {
  form: 'true \\| false',
  parse: (given) => oneOf(['true', 'false']).parse(given) === 'true',
};

/** A comma list; each item is read by `item`. White space around items is dropped, an empty item refused. */
export function listOf<T>(item: Form<T>): Form<readonly T[]> {
  return {
    form: `comma list of: ${item.form}`,
    parse: (given) =>
      given.split(',').map((each, index) => {
        if (each.trim() === '') throw new Refusal(`item ${index + 1} of the list is empty`);
        try {
          return item.parse(each.trim());
        } catch (error) {
          if (error instanceof Refusal) throw new Refusal(`item ${index + 1} of the list ${error.message}`);
          throw error;
        }
      }),
  };
}

/** A text that matches a pattern. */
export function matching(pattern: RegExp, form: string): Form<string> {
  return {
    form,
    parse: (given) => {
      if (!pattern.test(given)) throw new Refusal(`must be ${form}`);
      return given;
    },
  };
}

/** A file that exists and can be read. */
export const readableFile: Form<string> = {
  form: 'path of a readable file',
  parse: (given) => {
    if (!isReadable(given)) throw new Refusal('must be the path of a file that exists and can be read');
    return given;
  },
};

/** Whether this process may read the file now. */
export function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** An http or https address without credentials in it. */
export const httpUrl: Form<string> = {
  form: 'http:// or https:// address',
  parse: (given) => {
    const url = URL.canParse(given) ? new URL(given) : null;
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
      throw new Refusal('must be an address that begins with http:// or https://');
    }
    if (url.username !== '' || url.password !== '') {
      throw new Refusal('must not contain a user name or password');
    }
    return given;
  },
};

/** A list of Fernet keys, read for the setting of this name. */
export function fernetKeys(name: string): Form<KeyRing> {
  return {
    form: 'comma list of keys: 32 bytes in base64 or base64url; the first seals, all open',
    parse: (given) => {
      try {
        return KeyRing.parse(name, given);
      } catch (error) {
        // Our own message (positions and reasons only), which begins with the setting's name.
        if (error instanceof ConfigurationError) throw new Refusal(error.message.slice(name.length + 2));
        throw error;
      }
    },
  };
}

/** A port number, or `off`. */
export const portOrOff: Form<number | 'off'> = {
  form: 'port number, 0 for any free one, or off',
  parse: (given) => {
    if (given.toLowerCase() === 'off') return 'off';
    const port = /^\d{1,5}$/.test(given) ? Number(given) : Number.NaN;
    if (!(port <= 65_535)) throw new Refusal('must be a port number from 0 (any free one) to 65535, or off');
    return port;
  },
};

/** Kafka's rule for topic names. */
export const topicName: Form<string> = {
  form: 'topic name: 1 to 249 of A-Z a-z 0-9 . _ -',
  parse: (given) => {
    if (given === '.' || given === '..') throw new Refusal('must not be . or ..');
    return matching(/^[A-Za-z0-9._-]{1,249}$/, 'a topic name: 1 to 249 of A-Z a-z 0-9 . _ -').parse(given);
  },
};

/** `host:port`, IPv6 addresses in brackets. */
export const brokerAddress: Form<string> = {
  form: 'host:port',
  parse: (given) => {
    const match = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(given);
    const port = Number(match?.[1] ?? 0);
    if (port < 1 || port > 65_535) throw new Refusal('must be host:port, such as kafka-1:9092');
    return given;
  },
};

/** A field path of one connector. */
export interface ConnectorPath {
  /** The connector as an event's `serviceType` names it, `kind/connector`, or `*` for all; compare case-insensitively. */
  readonly connector: string;
  /** Dots between keys, `[]` after a key whose value is an array: `servers[].apiKey`. */
  readonly path: string;
}

export const connectorPath: Form<ConnectorPath> = {
  form: 'connector:dotted.path (`*` for any connector, `[]` for every element of an array)',
  parse: (given) => {
    const match = /^([A-Za-z0-9_/-]+|\*):([^\s:]+)$/.exec(given);
    const [, connector, path] = match ?? [];
    if (
      connector === undefined ||
      path === undefined ||
      path.split('.').some((key) => /^(\[\])?$/.test(key))
    ) {
      throw new Refusal('must be connector:dotted.path, such as Mysql:authType.password');
    }
    return { connector, path };
  },
};
