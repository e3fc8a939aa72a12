import type { App } from '../env.ts';

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Warmwind</title>
</head>
<body>
<h1>Warmwind</h1>
<p>Desktops on demand, for people and AI agents: ask for one here, watch it live.</p>
<p><a href="/docs">How to call it</a></p>
</body>
</html>
`;

/** `GET /` */
export function home(app: App): void {
  app.get('/', (c) => {
    c.header('Cache-Control', 'no-cache');
    return c.html(PAGE);
  });
}
