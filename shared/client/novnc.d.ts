/** As much of noVNC as the viewer uses; see its docs/API.md. */
declare module '@novnc/novnc' {
  /** A WebSocket, or what noVNC uses of one. */
  interface RawChannel {
    binaryType: string;
    readonly protocol: string;
    readonly readyState: string | number;
    onopen: (() => void) | null;
    onmessage: ((event: { data: ArrayBuffer }) => void) | null;
    onerror: ((event: unknown) => void) | null;
    onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null;
    send(data: Uint8Array): void;
    close(): void;
  }

  class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: RawChannel, options?: { shared?: boolean });
    viewOnly: boolean;
    scaleViewport: boolean;
    background: string;
    focus(): void;
    disconnect(): void;
  }

  // biome-ignore lint/style/noDefaultExport: that is what noVNC has
  export default RFB;
}
