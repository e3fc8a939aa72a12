/** The parts of the web that every runtime has: Node, workerd and browsers. */
declare const crypto: {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
  subtle: {
    importKey(
      format: 'raw',
      key: Uint8Array,
      algorithm: object,
      extractable: boolean,
      uses: string[],
    ): Promise<object>;
    sign(algorithm: string, key: object, data: Uint8Array): Promise<ArrayBuffer>;
  };
};
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class URL {
  constructor(url: string, base?: string);
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly origin: string;
  readonly protocol: string;
}
declare function btoa(binary: string): string;
