#!/usr/bin/env bash
# Builds PostgreSQL's image from Debian's packages, from Debian's own mirror: no image registry is asked.
# usage: build.sh IMAGE BIN WORK    WORK: an empty scratch folder; BIN is not used. Needs root, debootstrap and podman.
#
# Like the official image it has the server and its clients on PATH, and a shell, which initdb starts.
set -euo pipefail

readonly image=$1 work=$3 version=15
readonly programs=usr/lib/postgresql/$version
# shellcheck source=cluster/images/debian.sh
source "$(dirname "$0")/../debian.sh"

# Without the compiler of queries, which would be half of the image: the server does without where it is missing.
select_files() {
  local programs_and_modules applet
  mapfile -t programs_and_modules < <(cd "$rootfs" && find "$programs/bin" "$programs/lib" -maxdepth 1 \
    \( -name '*.so' -o -path '*/bin/*' \) ! -name 'llvmjit*' ! -name 'pg_config' ! -name 'postmaster')
  copy_with_libraries "${programs_and_modules[@]}"
  cp -r "$rootfs/usr/share/postgresql" "$rootfs/usr/share/zoneinfo" "$files/usr/share/"
  rm "$files/usr/share/zoneinfo/localtime" # leads to the machine's own zone, and there is none
  mkdir -p "$files/usr/lib/locale" "$files/bin" "$files/etc"
  cp -r "$rootfs/usr/lib/locale/C.utf8" "$files/usr/lib/locale/"
  copy bin/busybox
  for applet in $("$rootfs/bin/busybox" --list); do
    [[ $applet == busybox ]] || ln -s busybox "$files/bin/$applet"
  done
  echo 'postgres:x:999:999::/tmp:/bin/sh' > "$files/etc/passwd"
  echo 'postgres:x:999:' > "$files/etc/group"
}

mkdir -p "$files/usr/share"
unpack "postgresql-$version,busybox-static,tzdata"
select_files
# As the official image: SIGTERM would wait for every client to leave.
import_files "ENV PATH=/$programs/bin:/bin" 'ENV LANG=C.UTF-8' 'USER 999:999' 'STOPSIGNAL SIGINT' 'CMD ["postgres"]'
