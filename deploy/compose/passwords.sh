# Gives the roles that `agenttracer migrate` made their passwords, out of the secrets. Runs in PostgreSQL's image.
set -eu
PGPASSWORD=$(cat /run/secrets/postgres_owner)
export PGPASSWORD
for role in gateway worker query; do
    printf "ALTER ROLE agenttracer_%s PASSWORD '%s';\n" "$role" "$(cat "/run/secrets/postgres_$role")"
done | psql -q -v ON_ERROR_STOP=1
