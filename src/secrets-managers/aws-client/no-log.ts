const silent = (): void => undefined;

/** The SDK's own log lines can carry inputs and outputs of commands: none is written. */
export const NO_LOG = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };
