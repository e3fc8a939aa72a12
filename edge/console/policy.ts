/**
 * Builds the content security policy of the console's pages. Screens are images that the page makes itself;
 * noVNC and the console set styles of single elements.
 */
export function contentPolicy(relayUrl: string, framedBy: readonly string[]): string {
  const relay = new URL(relayUrl);
  const hosts = [relay, ...localTwin(relay)].flatMap(({ protocol, host }) => {
    const secure = protocol === 'https:' || protocol === 'wss:';
    return [`${secure ? 'https' : 'http'}://${host}`, `${secure ? 'wss' : 'ws'}://${host}`];
  });
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    `connect-src 'self' ${hosts.join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    // The page of share links may be framed by pages that may call the edge; the console itself shows nothing
    // in a frame.
    `frame-ancestors ${framedBy.length > 0 ? ["'self'", ...framedBy].join(' ') : "'none'"}`,
  ].join('; ');
}

/** The other name of a relay on this machine, by which it may be reached as well. */
function localTwin(url: URL): URL[] {
  const other = { '127.0.0.1': 'localhost', localhost: '127.0.0.1' }[url.hostname];
  if (!other) return [];
  const twin = new URL(url);
  twin.hostname = other;
  return [twin];
}
