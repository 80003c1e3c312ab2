#!/usr/bin/env bash
# Pins a tool of this folder to another version: writes its go.mod and go.sum, which `make up` builds from.
# usage: pin.sh NAME VERSION     for instance: pin.sh kind 0.34.0
set -euo pipefail

if (($# != 2)) || [[ ! -f $(dirname "$0")/$1/go.mod ]]; then
  echo "usage: $0 NAME VERSION, where NAME is a folder beside this script" >&2
  exit 2
fi
readonly name=$1 version=v${2#v}
cd "$(dirname "$0")/$name"
mapfile -t packages < <(go list tool)

# Kubernetes' own go.mod replaces its 33 staging modules by folders of its repository, which a module does not contain:
# name their published versions, v0.X.Y for Kubernetes v1.X.Y.
replace_staging_modules() {
  local published=v0.${version#v1.} module
  go mod download -json "k8s.io/kubernetes@$version" | jq -r .GoMod | xargs grep -oE 'k8s\.io/[a-z0-9.-]+ => \./staging' |
    cut -d' ' -f1 | sort -u | while read -r module; do go mod edit -replace "$module=$module@$published"; done
}

# The checksum database does not know one of Jaeger's indirect modules; Jaeger's own go.sum does.
seed_checksums() {
  go mod download -json "github.com/jaegertracing/jaeger@$version" | jq -r .Dir | xargs -I{} cat {}/go.sum > go.sum
}

case $name in
  collector)
    # The stable modules, v1.X.Y, follow those that are not.
    go list -m -f '{{if not (or .Main .Indirect)}}{{.Path}} {{.Version}}{{end}}' all | awk '$2 ~ /^v0/ {print $1}' |
      xargs -I{} echo "{}@$version" | xargs go get
    go mod tidy
    ;;
  kubernetes)
    go mod edit -require "k8s.io/kubernetes@$version"
    replace_staging_modules
    go mod tidy
    ;;
  jaeger) seed_checksums ;;&
  *) for package in "${packages[@]}"; do go get -tool "$package@$version"; done ;;
esac
