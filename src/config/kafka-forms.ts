import { matching } from './forms.js';
import { Refusal, type Form } from './setting.js';

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
