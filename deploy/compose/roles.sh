#!/bin/sh
# Run once by the postgres image, as the database is made: its two roles. The owner migrates; the
# service reads and writes rows, and owns nothing, so that it cannot take the triggers off the trail.
set -eu
export SECRETS="${SECRETS:-/run/secrets}"
psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set owner_password `cat "$SECRETS/DATABASE_OWNER_PASSWORD"`
\set service_password `cat "$SECRETS/DATABASE_PASSWORD"`
CREATE ROLE fluxiq_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE fluxiq LOGIN PASSWORD :'service_password';
SELECT format('ALTER DATABASE %I OWNER TO fluxiq_owner', current_database()) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO fluxiq', current_database()) \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE fluxiq_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO fluxiq;
ALTER DEFAULT PRIVILEGES FOR ROLE fluxiq_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO fluxiq;
SQL
