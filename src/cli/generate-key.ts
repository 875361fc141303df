import { command } from './define-command.js';

export const generateKey = command({
  name: 'generate-key',
  about: 'print a new Fernet key (32 random bytes in base64url)',
  examples: ['generate-key', 'generate-key --json'],
  run: async () => {
    const fernet = await import('../fernet/index.js');
    const key = fernet.generateKey();
    return { json: { key }, text: () => key };
  },
});
