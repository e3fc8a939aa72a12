export const PAGE = `<!doctype html>
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

export const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null });
`;

export const DESCRIPTION = `Desktops on demand: ask for one here, watch it live through the relay.

Every answer carries \`X-Request-Id\` (yours is kept when it is up to 64 letters, digits, _ or -). Limited answers carry
\`X-RateLimit-Limit\`, \`X-RateLimit-Remaining\` and \`X-RateLimit-Reset\` (epoch seconds) of the tightest tier, and
\`RateLimit-Policy\` and \`RateLimit\` with all tiers; 429 and 503 carry \`Retry-After\`. A client that
does not wait that long is answered more slowly, by a second at most.

A POST that submits takes an \`Idempotency-Key\`: the same key and body answer with the same job and
\`Idempotent-Replayed: true\` for 24 hours. A 503 on a submission means that it is unknown whether it was accepted: send
it again with the same key, and it runs once; without a key look at \`GET /jobs\` first. With \`Prefer: wait=N\` (10 seconds at most) it answers 200 with the
finished job if it ends in time, and 202 otherwise. A submission to a full queue is refused with 503.

A method that a path does not have is answered 405 with \`Allow\`; an unknown query parameter is answered 400 with the known
ones (on \`/v1/\` it is ignored, as OpenAI's clients expect).

Lists hold the complete history, newest first: pass \`nextCursor\` as \`cursor\` for the next page. While the history can
not be read, a list holds recent entries only and has \`incomplete: true\`.`;

/**
 * The content security policy: this origin only. Swagger UI writes inline styles and shows images that it
 * carries itself.
 */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
