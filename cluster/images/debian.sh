# shellcheck shell=bash
# For build.sh of the folders beside this file: images of programs from Debian's packages, from Debian's own mirror, so
# that no image registry is asked. No maintainer script is run: packages are unpacked, and what programs load is copied.
# Sourced with `image` set to the name to give, and `work` to an empty scratch folder.
# shellcheck disable=SC2154

readonly suite=bookworm rootfs=$work/rootfs files=$work/files

# The machine's own mirror: debootstrap's default may be out of reach where only a local mirror is open.
mirror() {
  local uri=""
  if command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016 # apt expands these names, not the shell
    uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' | awk -v s="$suite" '$1 == s { print $2; exit }')
  fi
  echo "${uri:-http://deb.debian.org/debian}"
}

# unpack PACKAGE,...: the first stage of debootstrap alone. Packages are fetched, verified, and unpacked into $rootfs.
unpack() {
  local package
  debootstrap --foreign --variant=minbase --include="$1" "$suite" "$rootfs" "$(mirror)"
  for package in "$rootfs"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$rootfs" -x --keep-directory-symlink
  done
}

# copy PATH...: a file of $rootfs into $files, a symbolic link as what it leads to.
copy() {
  local path
  for path in "$@"; do
    mkdir -p "$files/$(dirname "$path")"
    cp --dereference "$rootfs/$path" "$files/$path"
  done
}

# copy_with_libraries PATH...: programs and modules, with what the dynamic linker loads with them.
copy_with_libraries() {
  local libraries
  copy "$@"
  # The output is kept first: a failure inside a process substitution would go unseen.
  libraries=$(chroot "$rootfs" ldd "${@/#//}" | sed -nE 's|^\t([^/]+ => )?/([^ :]+) .*|\2|p' | sort -u)
  mapfile -t libraries <<< "$libraries"
  copy "${libraries[@]}"
}

# import_files [CHANGE...]: the image that holds $files and a /tmp for everybody; a CHANGE is a line of a Containerfile.
import_files() {
  local change changes=()
  for change in "$@"; do changes+=(--change "$change"); done
  mkdir -p "$files/tmp"
  chmod 1777 "$files/tmp"
  chmod 0755 "$files"
  tar -C "$files" -c . | podman import --quiet "${changes[@]}" - "$image"
}
