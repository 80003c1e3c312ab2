#!/usr/bin/env bash
# Builds Prometheus' image, laid out as upstream's Dockerfile does. It lacks the web UI, which is not in its Go module, and
# every service discovery but DNS, files and HTTP.
# usage: build.sh IMAGE BIN WORK    BIN: the folder of `prometheus`; WORK: an empty scratch folder. Needs podman.
set -euo pipefail

readonly image=$1 bin=$2 work=$3
# shellcheck source=cluster/images/debian.sh
source "$(dirname "$0")/../debian.sh"

mkdir -p "$files"/{bin,etc/ssl/certs}
cp --dereference "$bin/prometheus" "$files/bin/"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$files/etc/ssl/certs/"
import_files 'ENV PATH=/bin' 'USER 65534' 'ENTRYPOINT ["/bin/prometheus"]'
