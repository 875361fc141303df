import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Fault } from './faults.js';
import type { SeededSecret } from './protocol.js';
import { send } from './answer.js';
import type { AwsStandin, Standin, StandinSettings } from './server.js';

type Handler = (standin: Standin, body: string) => unknown;

const ok = { ok: true };

const HANDLERS: Readonly<Record<string, Handler>> = {
  'GET /standin/health': () => ok,
  'GET /standin/secrets': (standin) => standin.secrets(),
  'POST /standin/secrets': (standin, body) => {
    const { service, ...secret } = JSON.parse(body) as SeededSecret & { service: 'secretsmanager' | 'ssm' };
    standin.seed(service, secret);
    return ok;
  },
  'GET /standin/faults': (standin) => standin.faults.list(),
  'POST /standin/faults': (standin, body) => ({ id: standin.fault(JSON.parse(body) as Fault) }),
  'DELETE /standin/faults': (standin) => {
    standin.clearFaults();
    return ok;
  },
  'GET /standin/calls': (standin) => standin.calls,
  'DELETE /standin/calls': (standin) => {
    standin.clearCalls();
    return ok;
  },
  'POST /standin/settings': (standin, body) => {
    standin.configure(JSON.parse(body) as StandinSettings);
    return ok;
  },
  'POST /standin/reset': (standin) => {
    standin.reset();
    return ok;
  },
};

/** Controls the stand-in over HTTP, for tests that run it in another process. */
export function control(
  standin: Standin & AwsStandin,
  request: IncomingMessage,
  body: string,
  response: ServerResponse,
): void {
  const route = `${request.method ?? ''} ${(request.url ?? '').split('?')[0] ?? ''}`;
  const disarmed = /^DELETE \/standin\/faults\/(\d+)$/.exec(route)?.[1];
  if (disarmed !== undefined) {
    standin.clearFaults(Number(disarmed));
    send(response, 200, ok);
    return;
  }
  const handler = HANDLERS[route];
  if (handler === undefined) send(response, 404, { error: `no ${route}` });
  else send(response, 200, handler(standin, body));
}
