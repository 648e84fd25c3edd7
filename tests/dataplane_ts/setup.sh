#!/bin/sh
# Installs what the TypeScript kit is built and tested with. Prints where.
tests=$(cd "$(dirname "$0")/.." && pwd)
exec sh "$tests/npm-cache.sh" "$tests/../dataplane/typescript" dataplane-typescript
