#!/usr/bin/env bash
# Builds the kind node image from Go-built binaries and a Debian base, with every image in it that a cluster of
# Tracewell runs and does not build: the control plane's, the storage provisioner's, Jaeger's.
# usage: build.sh IMAGE BASE BIN WORK JAEGER
#   IMAGE  name to give
#   BASE   image made by base.sh
#   BIN    folder of the binaries that the tools table names
#   WORK   an empty scratch folder
#   JAEGER name to give Jaeger's image
# Needs root, podman, gcc, jq and go (to find kind's files in its module).
set -euo pipefail

readonly image=$1 base=$2 bin=$3 work=$4 jaeger=$5
here=$(dirname "$(realpath "$0")")
readonly here context=$work/context

version=$("$bin/kubeadm" version -o short)
kind_module=$(cd "$here/../tools/kind" && go mod download -json sigs.k8s.io/kind | jq -r .Dir)
kubernetes_module=$(cd "$here/../tools/kubernetes" && go mod download -json k8s.io/kubernetes | jq -r .Dir)
readonly version kind_module kubernetes_module

# kubeadm knows the names under which it will look for the control plane.
control_plane_image() {
  "$bin/kubeadm" config images list --kubernetes-version "$version" | grep "/$1:"
}

# kind's own manifest and image names stand in its source: one place, in step with the pinned kind.
storage_source() {
  cat "$kind_module/pkg/build/nodeimage/const_storage.go"
}
storage_image() {
  storage_source | sed -nE "s/^const $1 = \"(.+)\"$/\1/p"
}

# The default StorageClass and its provisioner.
storage_manifest() {
  local provisioner helper
  provisioner=$(storage_image storageProvisionerImage)
  helper=$(storage_image storageHelperImage)
  # shellcheck disable=SC2016 # Go's backquotes
  storage_source |
    sed -n '/^const defaultStorageManifest = `/,/^`/p' | sed '1d;$d' |
    sed -e 's|` + storageProvisionerImage + `|'"$provisioner"'|' -e 's|` + storageHelperImage + `|'"$helper"'|'
}

# Kubernetes' own pause.c, compiled statically. containerd asks for the name in its configuration, kubeadm for its own.
build_pause() {
  local asked
  gcc -static -Os -o "$work/pause" "$kubernetes_module/build/pause/linux/pause.c"
  asked=$(sed -nE 's/.*sandbox_image = "(.+)".*/\1/p' "$kind_module/images/base/files/etc/containerd/config.toml")
  add_image "$asked" /pause "$work/pause:/pause"
  add_image "$(control_plane_image pause)" /pause "$work/pause:/pause"
}

# kube-proxy drives the programs of the Debian base, with the libraries that they load.
build_kube_proxy() {
  local root files=() program library name
  root=$(podman image mount "$base")
  for name in nft conntrack; do files+=("$root/usr/sbin/$name:/usr/sbin/$name"); done
  for name in {iptables,ip6tables}{,-save,-restore}; do
    files+=("$root/usr/sbin/xtables-nft-multi:/usr/sbin/$name")
  done
  for program in nft conntrack xtables-nft-multi; do
    while read -r library; do files+=("$root$library:$library"); done \
      < <(chroot "$root" ldd "/usr/sbin/$program" | grep -oE '/[^ ]+')
  done
  for library in "$root"/usr/lib/*/xtables/*.so; do files+=("$library:${library#"$root"}"); done
  add_image "$(control_plane_image kube-proxy)" /usr/local/bin/kube-proxy \
    "$bin/kube-proxy:/usr/local/bin/kube-proxy" "${files[@]}"
  podman image unmount "$base" > /dev/null
}

# add_image NAME ENTRYPOINT SOURCE:TARGET...: one more archive for the node to import, a scratch image of one layer that
# holds exactly these files (a symbolic link is followed) and a /tmp for everybody.
add_image() {
  local name=$1 entrypoint=$2 pair root
  shift 2
  echo "image $name"
  root=$(mktemp -d -p "$work")
  mkdir -m 1777 "$root/tmp"
  mkdir "$root/etc"
  for pair in "$@"; do
    mkdir -p "$root/$(dirname "${pair#*:}")"
    cp --dereference "${pair%%:*}" "$root/${pair#*:}"
  done
  chmod 0755 "$root"
  tar -C "$root" -c . | podman import --quiet --change "ENTRYPOINT [\"$entrypoint\"]" \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$name" > /dev/null
  rm -rf "$root"
  podman save --quiet --output "$context/images/$(tr '/:' '__' <<< "$name").tar" "$name"
  podman rmi --force "$name" > /dev/null # the node has it now; nothing else wants it
}

build_images() {
  local component
  for component in kube-apiserver kube-controller-manager kube-scheduler; do
    add_image "$(control_plane_image "$component")" "/usr/local/bin/$component" "$bin/$component:/usr/local/bin/$component"
  done
  add_image "$(control_plane_image etcd)" /usr/local/bin/etcd "$bin/etcd:/usr/local/bin/etcd"
  add_image "$(control_plane_image coredns)" /coredns "$bin/coredns:/coredns"
  build_kube_proxy
  build_pause
  add_image "$(storage_image storageProvisionerImage)" /usr/local/bin/local-path-provisioner \
    "$bin/local-path-provisioner:/usr/local/bin/local-path-provisioner"
  add_image "$(storage_image storageHelperImage)" /bin/sh \
    /bin/busybox:/bin/sh /bin/busybox:/bin/mkdir /bin/busybox:/bin/rm
  # Laid out as upstream's cmd/jaeger/Dockerfile does.
  add_image "$jaeger" /cmd/jaeger/jaeger-linux "$bin/jaeger:/cmd/jaeger/jaeger-linux" \
    /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt
}

mkdir -p "$context"/{kind,bin,manifests,cni,images}
cp -r --no-preserve=mode,ownership "$kind_module/images/base/files/." "$context/kind/"
cp "$bin"/{containerd,ctr,containerd-shim-runc-v2,kubeadm,kubelet,kubectl} "$context/bin/"
cp "$here"/{configure.sh,preload.sh} "$context/"
cp "$here/bridge.conflist" "$context/cni/10-bridge.conflist"
printf '%s' "$version" > "$context/version"
storage_manifest > "$context/manifests/default-storage.yaml"
grep -q 'provisioner: rancher.io/local-path' "$context/manifests/default-storage.yaml"
: > "$context/manifests/default-cni.yaml" # the bridge needs no pods
build_images
podman build --quiet --pull=never --network=none \
  --build-arg "BASE=$base" --tag "$image" --file "$here/Containerfile" "$context"
