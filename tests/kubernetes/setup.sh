#!/bin/sh
# Builds a real Kubernetes API and its controllers from their Go modules, once a machine, and prints the folder of the
# programs. Six minutes on two quiet cores, over an hour where others are busy on them; nothing the second time.
set -e
version=v1.34.4
gateway=v1.6.1
here="$(cd "$(dirname "$0")" && pwd)"
place="${XDG_CACHE_HOME:-$HOME/.cache}/rollcast/kubernetes/$version"
sh "$here/../install-servers.sh" etcd-server >&2
command -v kubectl >/dev/null || sh "$here/../install-servers.sh" kubernetes-client >&2
mkdir -p "$place"

# build NAME WORDS…: into a staging folder, so that a program is whole or not there.
build() {
    name="$1"
    shift
    [ -x "$place/$name" ] && return 0
    command -v go >/dev/null || { echo "Go is not installed: it builds Kubernetes for the tests. Install it." >&2; exit 1; }
    echo "== building $name into $place: a few minutes, once" >&2
    staging="$place/.staging.$$"
    mkdir -p "$staging"
    trap 'rm -rf "$staging"' EXIT INT TERM
    GOBIN="$staging" CGO_ENABLED=0 "$@" >&2 &
    builder=$!
    while kill -0 "$builder" 2>/dev/null; do
        sleep 30
        kill -0 "$builder" 2>/dev/null && echo "   still building $name" >&2
    done
    wait "$builder"
    mv "$staging/$name" "$place/$name"
    rm -rf "$staging"
}

stamp="k8s.io/component-base/version"
flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=34"
cd "$here"
for each in kube-apiserver kube-controller-manager; do
    build "$each" go install -ldflags "$flags" "k8s.io/kubernetes/cmd/$each"
done
cd /
routes="$place/httproutes.yaml"
if [ ! -e "$routes" ]; then
    crds=$(go mod download -json "sigs.k8s.io/gateway-api@$gateway" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    cp "$crds/config/crd/standard/gateway.networking.k8s.io_httproutes.yaml" "$routes.$$"
    chmod 644 "$routes.$$"
    mv "$routes.$$" "$routes"
fi
echo "$place"
