/** What the referee uses of npm `fernet` 0.3.3, which ships no types. */
declare module 'fernet' {
  export class Secret {
    constructor(keyText: string);
  }
  export class Token {
    constructor(options: { secret: Secret; token?: string; ttl?: number });
    encode(text: string): string;
    decode(): string;
  }
  const fernet: { Secret: typeof Secret; Token: typeof Token };
  export default fernet;
}
