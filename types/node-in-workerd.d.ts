/** All that the edge uses of Node's modules, which workerd has by `nodejs_compat`. */
declare module 'node:buffer' {
  export const Buffer: {
    from(bytes: ArrayBufferLike, offset: number, length: number): { toString(encoding: 'hex'): string };
  };
}
declare module 'node:crypto' {
  interface Hash {
    update(text: string): Hash;
    digest(encoding: 'hex'): string;
  }
  export function createHash(algorithm: 'sha1'): Hash;
}
declare module 'node:events' {
  export class EventEmitter {
    on(event: string, listener: (...args: never[]) => void): this;
    once(event: string, listener: (...args: never[]) => void): this;
    off(event: string, listener: (...args: never[]) => void): this;
    removeListener(event: string, listener: (...args: never[]) => void): this;
    removeAllListeners(event?: string | symbol): this;
    emit(event: string | symbol, ...args: unknown[]): boolean;
    setMaxListeners(count: number): this;
    getMaxListeners(): number;
  }
}
declare module 'node:zlib' {
  export function gzipSync(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
}
