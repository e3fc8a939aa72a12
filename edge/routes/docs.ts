import { asyncApiDocument } from '@warmwind/shared/contract/asyncapi';
import { document } from '../docs/document.ts';
import type { App } from '../env.ts';
import { StaticText } from '../http/static-text.ts';

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Warmwind API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;

const DESCRIPTION = `Desktops on demand: ask for one here, watch it live through the relay.

Every answer carries \`X-Request-Id\` (yours is kept when it is up to 64 letters, digits, _ or -). Limited answers carry
\`X-RateLimit-Limit\`, \`X-RateLimit-Remaining\` and \`X-RateLimit-Reset\` (epoch seconds) of the tightest tier, and
\`RateLimit-Policy\` and \`RateLimit\` with all tiers; 429 and 503 carry \`Retry-After\`.

A POST that submits takes an \`Idempotency-Key\`: the same key and body answer with the same job and
\`Idempotent-Replayed: true\` for 24 hours. A 503 on a submission means that it is unknown whether it was accepted: send
it again with the same key, and it runs once; without a key look at \`GET /jobs\` first. With \`Prefer: wait=N\` (10 seconds at most) it answers 200 with the
finished job if it ends in time, and 202 otherwise. A queue that is full answers 503 and says so.

A path that has no such method answers 405 with \`Allow\`, a query parameter that a route does not have 400 with those that
it has (on \`/v1/\` it is ignored, as OpenAI's clients expect).

Lists have all that is remembered, newest first: hand \`nextCursor\` back as \`cursor\` for the next page. While the history can
not be read a list has only what is recent, and says \`incomplete: true\`.`;

/** Nothing from elsewhere; Swagger UI writes inline styles and shows images it carries itself. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `GET /openapi.json` (3.1) and its page, `GET /docs`; `GET /asyncapi.json` (3.0) of the relay. */
export function docsRoutes(app: App): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'Opens what is its `sub`’s alone. A claim `role` opens nothing yet.',
  });
  const info = {
    title: 'Warmwind',
    version: '1',
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  };
  // Made once an isolate: however often it is asked for, it costs no more than its bytes.
  const openapi = new StaticText('application/json', () => JSON.stringify(document(app, info)));
  app.get('/openapi.json', (c) => openapi.respond(c, { 'Cache-Control': 'public, max-age=60' }));
  const asyncapi = new StaticText('application/json', () => JSON.stringify(asyncApiDocument()));
  app.get('/asyncapi.json', (c) => asyncapi.respond(c, { 'Cache-Control': 'public, max-age=60' }));

  const serve = (path: string, type: string, cache: string, load: () => Promise<string> | string) => {
    const text = new StaticText(`${type}; charset=utf-8`, load);
    const headers = { 'Content-Security-Policy': POLICY, 'Cache-Control': cache };
    app.get(path, (c) => text.respond(c, headers));
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
