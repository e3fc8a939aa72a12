import type { MiddlewareHandler } from 'hono';
import type { Config } from '../config.ts';
import { contentPolicy } from '../console/policy.ts';
import type { App, AppEnv } from '../env.ts';
import { StaticText } from '../http/static-text.ts';

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#e8663c"/><path d="M5 12q5.5-5 11 0t11 0M5 21q5.5-5 11 0t11 0" fill="none" stroke="white" stroke-width="3" stroke-linecap="round"/></svg>
`;
/** Excludes search engines from all paths. */
const ROBOTS = 'User-agent: *\nDisallow: /\n';

/**
 * `GET /`: the console, its files, and the files that browsers and crawlers request of every site. The
 * console connects to this edge and to the relay only.
 */
export function consoleRoutes(
  app: App,
  { RELAY_URL, CORS_ORIGINS }: Config,
  throttled: MiddlewareHandler<AppEnv>,
): void {
  const policy = contentPolicy(RELAY_URL, CORS_ORIGINS);
  const headers = { 'Content-Security-Policy': policy, 'Cache-Control': 'no-cache' };
  const serve = (path: string, name: 'page' | 'script' | 'style' | 'terminal', type: string) => {
    const text = new StaticText(
      `${type}; charset=utf-8`,
      async () => (await import('../console/files.ts'))[name],
    );
    app.get(path, throttled, (c) => text.respond(c, headers));
  };
  serve('/', 'page', 'text/html');
  serve('/console.js', 'script', 'text/javascript');
  serve('/terminal-view.js', 'terminal', 'text/javascript');
  serve('/console.css', 'style', 'text/css');

  const still = (path: string, body: string, type: string) => {
    const text = new StaticText(type, () => body);
    app.get(path, throttled, (c) => text.respond(c, { 'Cache-Control': 'public, max-age=86400' }));
  };
  still('/favicon.ico', ICON, 'image/svg+xml');
  still('/robots.txt', ROBOTS, 'text/plain; charset=utf-8');
}
