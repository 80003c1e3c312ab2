# Read by the other scripts.
# shellcheck shell=sh

# become ROLE: the clients act as this role, on its database.
become() {
  PGUSER=$1
  PGDATABASE=$1
  eval "PGPASSWORD=\$PASSWORD_$1"
  export PGUSER PGDATABASE PGPASSWORD
}

# dumps ROLE: its dumps, the newest first. Their names sort by time.
dumps() {
  find "/backup/$1" -name '*.dump' | sort -r
}
