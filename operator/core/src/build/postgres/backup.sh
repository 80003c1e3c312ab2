#!/bin/sh
# Dumps the database of each role of $ROLES into /backup/<role>/<instant>.dump, and keeps the newest $RETAIN_COUNT. One that
# fails does not stop the others.
set -eu
umask 077
# shellcheck source=roles.sh
. /scripts/roles.sh

instant=$(date -u +%Y-%m-%dT%H-%M-%SZ)
failed=""
for role in $ROLES; do
  folder=/backup/$role
  mkdir -p "$folder"
  rm -f "$folder"/*.partial # left by a run that was cut off
  become "$role"
  if pg_dump --format=custom --no-owner --file="$folder/$instant.partial"; then
    mv "$folder/$instant.partial" "$folder/$instant.dump"
    echo "$folder/$instant.dump"
  else
    failed="$failed $role"
  fi
  dumps "$role" | tail -n "+$((RETAIN_COUNT + 1))" | while read -r old; do rm "$old"; done
done
if [ -n "$failed" ]; then
  echo "no dump of:$failed" >&2
  exit 1
fi
