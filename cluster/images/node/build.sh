#!/usr/bin/env bash
# Builds an image of Node.js with the libraries of Debian that it loads.
# usage: build.sh IMAGE BIN WORK    BIN: the folder of `node`; WORK: an empty scratch folder. Needs root, debootstrap and podman.
set -euo pipefail

readonly image=$1 bin=$2 work=$3
# shellcheck source=cluster/images/debian.sh
source "$(dirname "$0")/../debian.sh"

unpack libstdc++6
mkdir -p "$rootfs/usr/local/bin"
cp --dereference "$bin/node" "$rootfs/usr/local/bin/node"
copy_with_libraries usr/local/bin/node
import_files 'ENV PATH=/usr/local/bin:/bin' 'CMD ["node"]'
