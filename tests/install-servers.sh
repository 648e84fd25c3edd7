#!/bin/sh
# Installs those of Debian's packages that are not there yet. A real server is better than a mock, and costs a minute once.
set -e
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "== installing$missing: a minute or two, once"
[ "$(id -u)" = 0 ] && as_root="" || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
# A server that a package would start for itself is not wanted: tests start their own on free ports.
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
