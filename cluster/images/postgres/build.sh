#!/usr/bin/env bash
# Builds PostgreSQL's image from Debian's packages, from Debian's own mirror: no image registry is asked.
# usage: build.sh IMAGE BIN WORK    WORK: an empty scratch folder; BIN is not used. Needs root, debootstrap and podman.
#
# Like the official image it has the server and its clients on PATH, and a shell, which initdb starts. No maintainer
# script is run: the packages are unpacked, and what the programs load is copied.
set -euo pipefail

readonly image=$1 work=$3
readonly suite=bookworm version=15
readonly rootfs=$work/rootfs files=$work/files
readonly programs=usr/lib/postgresql/$version

# The machine's own mirror: debootstrap's default may be out of reach where only a local mirror is open.
mirror() {
  local uri=""
  if command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016 # apt expands these names, not the shell
    uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' | awk -v s="$suite" '$1 == s { print $2; exit }')
  fi
  echo "${uri:-http://deb.debian.org/debian}"
}

# The first stage of debootstrap alone: packages are fetched, verified, and unpacked where the base needs them.
unpack() {
  local package
  debootstrap --foreign --variant=minbase --include="postgresql-$version,busybox-static,tzdata" "$suite" "$rootfs" "$(mirror)"
  for package in "$rootfs"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$rootfs" -x --keep-directory-symlink
  done
}

# copy PATH...: a file of the root file system into the image, a symbolic link as what it leads to.
copy() {
  local path
  for path in "$@"; do
    mkdir -p "$files/$(dirname "$path")"
    cp --dereference "$rootfs/$path" "$files/$path"
  done
}

# What the dynamic linker loads with these programs and modules.
libraries() {
  local path
  for path in "$@"; do chroot "$rootfs" ldd "/$path" | grep -oE '/[^ ]+'; done | sort -u
}

# Without the compiler of queries, which would be half of the image: the server does without where it is missing.
select_files() {
  local programs_and_modules library applet
  mapfile -t programs_and_modules < <(cd "$rootfs" && find "$programs/bin" "$programs/lib" -maxdepth 1 \
    \( -name '*.so' -o -path '*/bin/*' \) ! -name 'llvmjit*' ! -name 'pg_config' ! -name 'postmaster')
  copy "${programs_and_modules[@]}"
  while read -r library; do copy "${library#/}"; done < <(libraries "${programs_and_modules[@]}")
  cp -r "$rootfs/usr/share/postgresql" "$rootfs/usr/share/zoneinfo" "$files/usr/share/"
  rm "$files/usr/share/zoneinfo/localtime" # leads to the machine's own zone, and there is none
  mkdir -p "$files/usr/lib/locale" "$files/bin" "$files/etc"
  cp -r "$rootfs/usr/lib/locale/C.utf8" "$files/usr/lib/locale/"
  copy bin/busybox
  for applet in $("$rootfs/bin/busybox" --list); do
    [[ $applet == busybox ]] || ln -s busybox "$files/bin/$applet"
  done
  mkdir -m 1777 "$files/tmp"
  echo 'postgres:x:999:999::/tmp:/bin/sh' > "$files/etc/passwd"
  echo 'postgres:x:999:' > "$files/etc/group"
  chmod 0755 "$files"
}

mkdir -p "$files/usr/share"
unpack
select_files
tar -C "$files" -c . | podman import --quiet \
  --change "ENV PATH=/$programs/bin:/bin" --change 'ENV LANG=C.UTF-8' --change 'USER 999:999' \
  --change 'CMD ["postgres"]' - "$image"
