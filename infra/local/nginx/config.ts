import type { ErrorBody, ErrorCode } from '@warmwind/shared/contract/errors';

export type NginxOptions = {
  /** An existing folder for nginx's own files; logs are in `logs`. */
  dir: string;
  logs: string;
  edgePort: number;
  relayPort: number;
  /** The address it listens on; default loopback, `*` all. */
  bind?: string;
  /**
   * With it, it speaks TLS only; `relayName` distinguishes the relay's names from the edge's where both have
   * one port.
   */
  tls?: { certificate: string; key: string; relayName: string };
  /** `host:port` of the edge, and of every relay node. */
  edge: string;
  relays: string[];
};

/**
 * nginx's configuration in front of Warmwind: the edge on one port, the relay nodes (least connections, no
 * sticky sessions) on another. It alone sets the client's address: an address that a client claims is
 * overwritten.
 */
export const nginxConfig = ({
  dir,
  logs,
  edgePort,
  relayPort,
  bind = '127.0.0.1',
  tls,
  edge,
  relays,
}: NginxOptions): string => `
daemon off;
worker_processes 1;
# A relay's sockets outlive SIGQUIT until the relay itself has notified and closed them.
worker_shutdown_timeout 30s;
pid "${dir}/nginx.pid";
error_log "${logs}/nginx-error.log" warn;

events {
  worker_connections 8192;
}

http {
  client_body_temp_path "${dir}/body";
  proxy_temp_path "${dir}/proxy";
  fastcgi_temp_path "${dir}/fastcgi";
  uwsgi_temp_path "${dir}/uwsgi";
  scgi_temp_path "${dir}/scgi";
  # Paths without their query: a query may hold a ticket. The error log writes complete requests at every
  # level; therefore it is off for requests. The access log has the answer of each node that was asked.
  log_format paths '$time_iso8601 $request_id $remote_addr $request_method $uri $status $body_bytes_sent $request_time '
                   '$upstream_addr $upstream_status $upstream_connect_time $upstream_header_time';
  error_log /dev/null emerg;
  access_log "${logs}/nginx-access.log" paths buffer=32k flush=1s;
  server_tokens off;
  keepalive_timeout 65s;
  client_header_timeout 15s;
  client_body_timeout 30s;
  reset_timedout_connection on;

${tls ? tlsOptions(tls) : ''}
  # WebSocket is the only protocol for an upgrade; a request that offers another is answered as a plain one.
  map $http_upgrade $upgrade {
    default      '';
    ~*^websocket$ websocket;
  }
  map $upgrade $connection_upgrade {
    default upgrade;
    ''      '';
  }

  upstream edge {
    server ${edge} max_fails=0;
    keepalive 64;
    # Shorter than the edge's own, so that no request uses a connection that is just being closed.
    keepalive_timeout 2s;
  }

  # No failure is counted (max_fails=0): nginx counts a reset, a time-out and an answer that it can't parse
  # alike, and a client can cause each of them. A dead node refuses its connection, which costs the next one
  # nothing.
  upstream relay {
    least_conn;
${relays.map((address) => `    server ${address} max_fails=0;`).join('\n')}
    keepalive 64;
    keepalive_timeout 2s;
  }

  proxy_http_version 1.1;
  # Bounds the delay by a node that vanished without refusing connections, as a removed container does.
  proxy_connect_timeout 300ms;
  # Bodies and answers (screens, server-sent events) flow through; nothing is spooled to disk.
  proxy_request_buffering off;
  proxy_buffering off;
  # All headers are set here: a location that sets one of its own inherits none.
  proxy_set_header Upgrade $upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header Host $http_host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header CF-Connecting-IP $remote_addr;

  server {
    listen ${bind}:${edgePort}${tls ? ' ssl default_server' : ''};
    # Above every limit of the edge, which answers 413 in its own form.
    client_max_body_size 16m;

    location / {
      proxy_pass http://edge;
      proxy_read_timeout 60s;
    }
${filesLocation('edge')}${ERROR_PAGES}
  }

  server {
    listen ${bind}:${relayPort}${tls ? ` ssl;\n    server_name ${tls.relayName}` : ''};
    client_max_body_size 1m;

    # Only a node that drains answers 502; any other refusal is returned to the client. A request that waited
    # for 30 s was with a living node: it is not sent to another.
    proxy_next_upstream error timeout http_502;
    proxy_next_upstream_timeout 30s;

    # nginx would choose any node: metrics are read on each node's own port.
    location = /metrics {
      return 404;
    }

    # Streams of events send a heartbeat every 15 s.
    location / {
      proxy_pass http://relay;
      proxy_read_timeout 60s;
    }
${filesLocation('relay')}
    # WebSockets: Socket.IO's, and those that carry the bytes of one session.
    location ~ ^/(socket[.]io/|containers/[^/]+/(vnc|tunnels/[0-9]+)$) {
      proxy_pass http://relay;
      proxy_read_timeout 86400s;
      proxy_send_timeout 86400s;
    }
${ERROR_PAGES}
  }
}
`;

/** Files of 64 MB, above the limit of the service, which answers 413 in its own form. */
const filesLocation = (upstream: 'edge' | 'relay') => `
    location ~ ^/containers/[^/]+/files/ {
      client_max_body_size 80m;
      proxy_pass http://${upstream};
      proxy_read_timeout 600s;
    }
`;

const tlsOptions = ({ certificate, key }: { certificate: string; key: string }): string => `
  ssl_certificate "${certificate}";
  ssl_certificate_key "${key}";
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m;
  ssl_session_tickets off;
  add_header Strict-Transport-Security "max-age=31536000" always;
`;

/**
 * nginx's own refusals in the form of every other error. `page` is a named location, which keeps the
 * request's path for the log, or a path: a request that nginx could not parse has no path, and reaches no
 * named location.
 */
const errorPage = (
  page: string,
  statuses: string,
  statusCode: number,
  code: ErrorCode,
  message: string,
  retryAfterMs?: number,
) => {
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  const body: ErrorBody = { statusCode, code, message, requestId: '$request_id', ...retry };
  const retryAfter =
    retryAfterMs === undefined ? '' : `add_header Retry-After ${retryAfterMs / 1000} always;`;
  return `
    error_page ${statuses} = ${page};
    location ${page.replace(/^\//, '= /')} {
      internal;
      default_type application/json;
      add_header X-Request-Id $request_id always;
      ${retryAfter}
      return ${statusCode} '${JSON.stringify(body)}';
    }`;
};

const ERROR_PAGES = [
  errorPage(
    '/.nginx/malformed',
    '400 405 501 505',
    400,
    'bad_request',
    'The request is malformed: send HTTP/1.1 with one Host, a usual method and a percent-encoded path.',
  ),
  errorPage(
    '/.nginx/too-long',
    '414 494',
    400,
    'bad_request',
    'The address or a header is too long: keep each line below 8 KB.',
  ),
  errorPage('@not_found', '404', 404, 'not_found', 'There is nothing at this address.'),
  errorPage('@too_large', '413', 413, 'payload_too_large', 'The body is too large: send less.'),
  errorPage(
    '@away',
    '502 504',
    503,
    'unavailable',
    'The service behind this address is away: try again shortly.',
    1000,
  ),
].join('\n');
