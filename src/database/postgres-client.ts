import pg from 'pg';

/**
 * A session with PostgreSQL whose end is never an unhandled error. The pool takes its own listener away in the moment a new
 * session is ready, and TypeORM adds one a tick later: where the server ends the session in the same piece of data (a
 * process that was stopped, a database that restarts), nobody listens, and Node.js ends the process. Whoever uses the
 * session is told by its next statement.
 */
export class PostgresClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
  }
}
