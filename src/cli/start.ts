import { loadConfig } from '../config.js';
import { createLogger } from '../observability/logger.js';
import { programVersion } from '../version.js';
import { EXIT } from './cli.js';
import { command, option } from './define-command.js';
import { stopDeadlineMs, untilStopped } from './signals.js';

export const start = command<{ readonly allowGroupChange?: boolean }>({
  name: 'start',
  about: 'run the worker: source topics in, secrets to the store, connection.secured out',
  options: [option('--allow-group-change', 'take the database over from another consumer group')],
  hasOutput: false,
  isAudited: true,
  examples: ['start', 'start --allow-group-change'],
  run: async (cli, { allowGroupChange = false }) => {
    const config = loadConfig(cli.env);
    const logger = createLogger({ level: config.log.level, to: 'stdout' });
    const version = programVersion();
    for (const warning of config.warnings) logger.warn({ warning }, 'configuration');
    await untilStopped(async (stop) => {
      stop.addEventListener('abort', () => logger.info('told to stop'));
      const { secretsManager, database } = config;
      logger.info({ version, manager: secretsManager.name, database: database.address.type }, 'starting');
      try {
        const { runService } = await import('../worker/service.js');
        await runService({ config, logger, version, allowGroupChange, stop });
      } catch (error) {
        logger.fatal({ error }, 'ended');
        throw error;
      }
    }, stopDeadlineMs(config));
    return EXIT.ok;
  },
});
