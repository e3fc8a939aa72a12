/** As much of noVNC as the viewer uses; see its docs/API.md. */
declare module '@novnc/novnc' {
  class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: WebSocket, options?: { shared?: boolean });
    viewOnly: boolean;
    scaleViewport: boolean;
    background: string;
    focus(): void;
    disconnect(): void;
  }

  // biome-ignore lint/style/noDefaultExport: that is what noVNC has
  export default RFB;
}
