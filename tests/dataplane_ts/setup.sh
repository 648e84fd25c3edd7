#!/bin/sh
# Installs the npm packages of the TypeScript kit, at the versions of its package-lock.json, into the user's cache, once for
# each lock file. Prints the folder. Needs npm; nothing of it goes into the tree.
set -eu
kit=$(cd "$(dirname "$0")/../../dataplane/typescript" && pwd)
lock=$(sha256sum "$kit/package-lock.json" | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/rollcast/dataplane-typescript-$lock"
if [ ! -f "$folder/.ready" ]; then
  mkdir -p "$folder"
  cp "$kit/package.json" "$kit/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --silent >&2)
  touch "$folder/.ready"
fi
echo "$folder"
