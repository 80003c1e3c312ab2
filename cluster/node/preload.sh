#!/usr/bin/env bash
# Runs inside the node image while it is built: imports image archives into the node's containerd, so that a new
# cluster starts without pulling anything.
# usage: preload.sh FOLDER
set -euo pipefail

readonly folder=$1 log=/tmp/containerd.log patience=60

containerd > "$log" 2>&1 &
readonly daemon=$!

until ctr version > /dev/null 2>&1; do
  if ! kill -0 "$daemon" 2>/dev/null || ((SECONDS > patience)); then
    cat "$log" >&2
    echo "containerd does not answer" >&2
    exit 1
  fi
  sleep 0.2
done

# Unpacked at first use: a build container may not mount overlays.
for archive in "$folder"/*.tar; do
  ctr --namespace k8s.io images import --all-platforms --no-unpack "$archive"
done

kill "$daemon"
wait "$daemon" || true # containerd leaves with the status of its signal
rm -rf "$log" /run/containerd /run/nri
