#!/bin/sh
# Installs what the browser tests run inside pages: axe-core, mermaid. Prints where.
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/../npm-cache.sh" "$here" browser-tests
