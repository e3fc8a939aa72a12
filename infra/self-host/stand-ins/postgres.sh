# The part of PostgreSQL's own entrypoint that compose.yaml uses: makes the database once, then becomes the
# server.
set -eu
export PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
mkdir -p "$PGDATA" /var/run/postgresql
chown -R postgres:postgres "$PGDATA" /var/run/postgresql
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  password=$(mktemp)
  printf '%s' "$POSTGRES_PASSWORD" >"$password"
  chown postgres "$password"
  as initdb --username "$POSTGRES_USER" --pwfile "$password" --auth scram-sha-256 >/dev/null
  rm "$password"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  printf 'create database %s;\n' "$POSTGRES_DB" | as postgres --single -j postgres >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --init-groups postgres -c listen_addresses='*'
