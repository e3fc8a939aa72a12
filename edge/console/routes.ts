import type { Context } from 'hono';
import type { Config } from '../config.ts';
import type { App, AppEnv } from '../env.ts';

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#e8663c"/><path d="M5 12q5.5-5 11 0t11 0M5 21q5.5-5 11 0t11 0" fill="none" stroke="white" stroke-width="3" stroke-linecap="round"/></svg>
`;
/** Nothing here is for search engines. */
const ROBOTS = 'User-agent: *\nDisallow: /\n';

/** `GET /`: the console, its two files, and what browsers and crawlers ask of every site. It talks to this edge and to the relay, and to nothing else. */
export function consoleRoutes(app: App, { RELAY_URL }: Config): void {
  const policy = policyFor(RELAY_URL);
  const serve = async (c: Context<AppEnv>, name: 'page' | 'script' | 'style', type: string) => {
    const files = await import('./files.ts');
    c.header('Content-Security-Policy', policy);
    c.header('Cache-Control', 'no-cache');
    return c.body(files[name], 200, { 'Content-Type': `${type}; charset=utf-8` });
  };
  app.get('/', (c) => serve(c, 'page', 'text/html'));
  app.get('/console.js', (c) => serve(c, 'script', 'text/javascript'));
  app.get('/console.css', (c) => serve(c, 'style', 'text/css'));

  const still = (body: string, type: string) => (c: Context<AppEnv>) => {
    c.header('Cache-Control', 'public, max-age=86400');
    return c.body(body, 200, { 'Content-Type': type });
  };
  app.get('/favicon.ico', still(ICON, 'image/svg+xml'));
  app.get('/robots.txt', still(ROBOTS, 'text/plain; charset=utf-8'));
}

/** Screens come as images that the page makes itself; noVNC and the console set styles of single elements. */
function policyFor(relayUrl: string): string {
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
    "frame-ancestors 'none'",
  ].join('; ');
}

/** A relay on this machine may be reached by either of its names. */
function localTwin(url: URL): URL[] {
  const other = { '127.0.0.1': 'localhost', localhost: '127.0.0.1' }[url.hostname];
  if (!other) return [];
  const twin = new URL(url);
  twin.hostname = other;
  return [twin];
}
