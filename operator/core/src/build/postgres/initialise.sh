#!/bin/sh
# Before the server starts: makes its data folder unless it is there, and gives the superuser the password of its Secret,
# so that a Secret that was made anew fits data that was kept.
set -eu

if [ ! -d "$PGDATA" ]; then
  rm -rf "$PGDATA.new" # left by a run that was cut off
  initdb --pgdata="$PGDATA.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-host=reject --auth-local=reject
  mv "$PGDATA.new" "$PGDATA"
fi

# The password is neither an argument nor in a log, also where the statement fails.
printf "ALTER ROLE postgres PASSWORD '%s'\n" "$SUPERUSER_PASSWORD" |
  postgres --single -D "$PGDATA" -c exit_on_error=on -c log_statement=none -c log_min_error_statement=panic postgres \
    > /dev/null
