export { startAwsStandin, type AwsStandin, type LoggedCall, type StandinSettings } from './server.js';
export type { Fault, FaultKind } from './faults.js';
export type { StoredSecret } from './protocol.js';
