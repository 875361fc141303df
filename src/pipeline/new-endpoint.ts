import { endpointMeaningOf, isAddress, type EndpointMeaning } from '../catalog/endpoint-keys.js';
import { parsePointer } from '../catalog/json-pointer.js';
import type { FoundField } from '../catalog/field-finder.js';
import type { Json } from '../terms.js';
import { leavesOf, type Difference, type Step } from './differences.js';
import type { RuledField } from './new-references.js';

/**
 * Members of an entity that its connector reads. Everything else describes it: owners and tags have addresses of their own
 * that nobody dials.
 */
export const CONFIGURATION: ReadonlySet<string | number> = new Set([
  'connection',
  'authenticationMechanism',
  'sourceConfig',
  'openMetadataServerConnection',
  'airflowConfig',
  'request',
  'serviceType',
]);

/** Tells of a difference whether it may send the connection's secrets to somebody else. */
export class EndpointChanges {
  readonly #meanings = new Map<Step, EndpointMeaning>();

  isOne({ at, before, after }: Difference): boolean {
    if (!isConfiguration(at)) return false;
    for (const value of [before, after])
      for (const leaf of leavesOf(value, at)) if (this.#isEndpoint(leaf.at, leaf.value)) return true;
    return false;
  }

  #isEndpoint(at: Step, value: Json): boolean {
    const meaning = this.#meaningAt(at);
    return meaning === 'endpoint' || (meaning === 'other' && isAddress(value));
  }

  /** That of the nearest key which says something; asked once for each place. */
  #meaningAt(step: Step): EndpointMeaning {
    const open: Step[] = [];
    let meaning: EndpointMeaning | undefined;
    for (let at: Step | null = step; at !== null && meaning === undefined; at = at.parent) {
      meaning = this.#meanings.get(at);
      if (meaning === undefined) open.push(at);
    }
    meaning ??= 'other';
    for (const at of open.reverse()) {
      const own = typeof at.segment === 'number' ? 'other' : endpointMeaningOf(at.segment);
      if (own !== 'other' && meaning !== 'endpoint') meaning = own;
      this.#meanings.set(at, meaning);
    }
    return meaning;
  }
}

/** Whether the address itself may be part of a field's secret, or was: all of it is masked, so it cannot be compared. */
export function mayHoldEndpoint({
  path,
  because,
}: {
  path: string;
  because: FoundField['because'] | null;
}): boolean {
  return because === 'url' || isEndpointPath(parsePointer(path) ?? []);
}

/** A secret's own key only: that of a password in `connectionOptions` says nothing of where it goes. */
function isEndpointPath(path: readonly string[]): boolean {
  const key = path.findLast((segment) => !/^\d+$/.test(segment)) ?? '';
  return endpointMeaningOf(key) === 'endpoint' && !SECRET_ABOUT_ENDPOINT.test(key);
}

/** `accountKey`, `sslKey`, `proxyPassword`: secrets that are named after an endpoint and hold none. */
const SECRET_ABOUT_ENDPOINT = /(?:key|secret|token|password|passphrase|certificate|pwd|credentials?)$/i;

function isConfiguration(step: Step): boolean {
  let top = step;
  while (top.parent !== null) top = top.parent;
  return CONFIGURATION.has(top.segment);
}

/**
 * Fields whose secret goes on although the event does not have its text: masked, or named by a reference to what the
 * connection has. Who wrote the event need not know it.
 */
export function goesOnUnseen({ field, ruling }: RuledField): boolean {
  const { kind } = field.incoming;
  if (kind === 'mask') return true;
  if (kind !== 'reference') return false;
  return ruling.kind === 'keep' || ruling.kind === 'copy' ? true : ruling.kind === 'refer' && ruling.owned;
}
