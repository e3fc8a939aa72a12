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
    emit(event: string, ...args: unknown[]): boolean;
  }
}
declare module 'node:zlib' {
  export function gzipSync(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
}
