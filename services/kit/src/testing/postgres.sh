# Runs a PostgreSQL server for the process that holds the other end of standard input, and leaves nothing behind.
# Arguments: the folder of its programs, the port, the password of `tracewell`. With TLS_CERTIFICATE and TLS_KEY, in PEM, it
# can be reached by TLS. Says "ready", or why not.
set -eu
programs=$1 port=$2 password=$3
folder=$(mktemp -d)
end() {
    cd /
    "$programs/pg_ctl" --pgdata="$folder/data" --mode=immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' INT TERM HUP
cd "$folder"
printf '%s\n' "$password" >password
"$programs/initdb" --pgdata=data --username=tracewell --pwfile=password --auth=scram-sha-256 --encoding=UTF8 \
    --locale=C.UTF-8 --no-sync >log 2>&1 || { cat log; exit 1; }
tls=
if [ -n "${TLS_CERTIFICATE:-}" ]; then
    umask 077
    printf '%s\n' "$TLS_CERTIFICATE" >data/server.crt
    printf '%s\n' "$TLS_KEY" >data/server.key
    tls='-c ssl=on'
fi
# Nothing outlives the test, so nothing need reach the disk.
"$programs/pg_ctl" --pgdata=data --log=log --wait --options="-c listen_addresses=127.0.0.1 -c port=$port \
    -c unix_socket_directories= -c max_connections=300 -c shared_buffers=32MB -c fsync=off -c full_page_writes=off \
    -c synchronous_commit=off -c autovacuum=off $tls" start >/dev/null 2>&1 || { cat log; exit 1; }
echo ready
read -r _ || true
