import type { ServerResponse } from 'node:http';

/** Sends a body as the AWS JSON protocols do, or nothing if the client has gone. */
export function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(JSON.stringify(body));
}
