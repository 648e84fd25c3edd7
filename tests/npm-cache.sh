#!/bin/sh
# npm-cache.sh FOLDER NAME: installs the npm packages of a folder, at the versions of its package-lock.json, into the user's
# cache, once for each lock file. Prints where. Needs npm; nothing of it goes into the tree.
set -eu
lock=$(sha256sum "$1/package-lock.json" | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/rollcast/$2-$lock"
if [ ! -f "$folder/.ready" ]; then
  mkdir -p "$folder"
  cp "$1/package.json" "$1/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --silent >&2)
  touch "$folder/.ready"
fi
echo "$folder"
