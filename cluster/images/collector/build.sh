#!/usr/bin/env bash
# Builds the image of the collector with the parts of the contrib distribution that Tracewell's configurations use, laid out
# as upstream's is.
# usage: build.sh IMAGE BIN WORK    BIN: the folder of `collector`; WORK: an empty scratch folder. Needs podman.
set -euo pipefail

readonly image=$1 bin=$2 work=$3
# shellcheck source=cluster/images/debian.sh
source "$(dirname "$0")/../debian.sh"

mkdir -p "$files/etc/ssl/certs"
cp --dereference "$bin/collector" "$files/otelcol-contrib"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$files/etc/ssl/certs/"
import_files 'USER 10001' 'ENTRYPOINT ["/otelcol-contrib"]'
