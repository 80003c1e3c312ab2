#!/bin/sh
# Gives the database of each role of $ROLES the content of its newest dump, or of the newest that is not younger than
# $RESTORE_BEFORE, an instant such as 2026-03-01T03-00-00Z. A database is either restored wholly or left as it was.
set -eu
# shellcheck source=roles.sh
. /scripts/roles.sh

for role in $ROLES; do
  dump=$(dumps "$role" | awk -F/ -v before="${RESTORE_BEFORE:-}" 'before == "" || $NF <= before ".dump"' | head -n 1)
  if [ -z "$dump" ]; then
    echo "$role: there is no such dump" >&2
    exit 1
  fi
  become "$role"
  # Where the dump cannot be read, the transaction ends with an error instead of half the content.
  {
    echo 'BEGIN; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner;'
    pg_restore --no-owner --no-privileges --file=- "$dump" && echo 'COMMIT;' ||
      echo "DO \$\$ BEGIN RAISE 'the dump cannot be read'; END \$\$;"
  } | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --output=/dev/null
  echo "$role: restored from $dump"
done
