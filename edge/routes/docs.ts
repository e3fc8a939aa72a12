import { asyncApiDocument } from '@warmwind/shared/contract/asyncapi';
import type { MiddlewareHandler } from 'hono';
import { document } from '../docs/document.ts';
import { DESCRIPTION, PAGE, POLICY, START } from '../docs/page.ts';
import type { App, AppEnv } from '../env.ts';
import { StaticText } from '../http/static-text.ts';

/** `GET /openapi.json` (3.1) and its page, `GET /docs`; `GET /asyncapi.json` (3.0) of the relay. */
export function docsRoutes(app: App, throttled: MiddlewareHandler<AppEnv>): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'Gives access to the data of its `sub` only. With a claim `role` of `admin` also to `/admin`.',
  });
  const info = {
    title: 'Warmwind',
    version: '1',
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  };
  // Built once an isolate: each request costs only its bytes.
  const openapi = new StaticText('application/json', () => JSON.stringify(document(app, info)));
  app.get('/openapi.json', throttled, (c) => openapi.respond(c, { 'Cache-Control': 'public, max-age=60' }));
  const asyncapi = new StaticText('application/json', () => JSON.stringify(asyncApiDocument()));
  app.get('/asyncapi.json', throttled, (c) => asyncapi.respond(c, { 'Cache-Control': 'public, max-age=60' }));

  const serve = (path: string, type: string, cache: string, load: () => Promise<string> | string) => {
    const text = new StaticText(`${type}; charset=utf-8`, load);
    const headers = { 'Content-Security-Policy': POLICY, 'Cache-Control': cache };
    app.get(path, throttled, (c) => text.respond(c, headers));
  };
  serve('/docs', 'text/html', 'no-cache', () => PAGE);
  serve('/docs/start.js', 'text/javascript', 'no-cache', () => START);
  const hour = 'public, max-age=3600';
  serve(
    '/docs/swagger-ui-bundle.js',
    'text/javascript',
    hour,
    async () => (await import('../docs/files.ts')).script,
  );
  serve('/docs/swagger-ui.css', 'text/css', hour, async () => (await import('../docs/files.ts')).style);
}
