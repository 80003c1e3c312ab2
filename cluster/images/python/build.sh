#!/usr/bin/env bash
# Builds an image of Debian's Python with its standard library.
# usage: build.sh IMAGE BIN WORK    WORK: an empty scratch folder; BIN is not used. Needs root, debootstrap and podman.
set -euo pipefail

readonly image=$1 work=$3
# shellcheck source=cluster/images/debian.sh
source "$(dirname "$0")/../debian.sh"

unpack python3
mapfile -t modules < <(cd "$rootfs" && find usr/lib/python3.11/lib-dynload -name '*.so')
copy_with_libraries usr/bin/python3 "${modules[@]}"
cp -r "$rootfs/usr/lib/python3.11" "$files/usr/lib/"
import_files 'ENV PATH=/usr/bin' 'ENV LANG=C.UTF-8' 'CMD ["python3"]'
