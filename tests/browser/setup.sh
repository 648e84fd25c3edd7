#!/bin/sh
# Installs what the browser tests run inside pages (axe-core, mermaid) at the versions of package-lock.json, into the
# user's cache, once for each lock file. Prints the folder. Needs npm; nothing of it goes into the tree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lock=$(sha256sum "$here/package-lock.json" | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/rollcast/browser-tests-$lock"
if [ ! -f "$folder/.ready" ]; then
  mkdir -p "$folder"
  cp "$here/package.json" "$here/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --silent >&2)
  touch "$folder/.ready"
fi
echo "$folder"
