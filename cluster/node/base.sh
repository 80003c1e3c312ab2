#!/usr/bin/env bash
# Builds the Debian that the node image stands on, from Debian's own mirror: no image registry is asked.
# usage: base.sh IMAGE WORK    WORK: an empty scratch folder. Needs root (debootstrap makes devices) and podman.
set -euo pipefail

readonly image=$1 work=$2
readonly suite=bookworm
# What kind's images/base/Dockerfile installs and a cluster here uses, plus runc and the CNI plugins, which kind builds
# from source, and systemd-sysv for /sbin/init. No storage clients (NFS, iSCSI): nothing here mounts them.
readonly packages=(
  systemd systemd-sysv dbus
  conntrack iptables nftables iproute2 ethtool util-linux mount kmod libseccomp2
  bash ca-certificates curl hostname jq procps
  runc containernetworking-plugins
)

# The machine's own mirror: debootstrap's default may be out of reach where only a local mirror is open.
mirror() {
  local uri=""
  if command -v apt-get >/dev/null; then
    # shellcheck disable=SC2016 # apt expands these names, not the shell
    uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' | awk -v s="$suite" '$1 == s { print $2; exit }')
  fi
  echo "${uri:-http://deb.debian.org/debian}"
}

debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$suite" "$work/rootfs" "$(mirror)"
rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
tar -C "$work/rootfs" -c . | podman import --quiet - "$image"
