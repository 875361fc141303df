import pg from 'pg';

/**
 * A PostgreSQL session whose end is never an unhandled error. The pool removes its own listener as soon as a new session is
 * ready, and TypeORM adds one a tick later. If the server ends the session in the same piece of data (a process that was
 * stopped, a database that restarts), nobody listens, and Node.js would end the process. The next statement on the session
 * fails instead.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}
