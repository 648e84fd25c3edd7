#!/bin/sh
# Installs a real MLflow into an environment of its own, once a machine, and prints its folder. About 800 MB; it shares
# nothing with rollcast's own environment, which needs no MLflow.
set -e
version=3.17.0
place="${ROLLCAST_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rollcast-tests}/mlflow-$version"
if [ ! -e "$place/.ready" ]; then
    echo "== installing MLflow $version into $place: about 800 MB and three minutes, once" >&2
    mkdir -p "$(dirname "$place")"
    staging="$place.$$"
    trap 'rm -rf "$staging"' EXIT INT TERM
    "${PYTHON:-python3}" -m venv "$staging"
    "$staging/bin/python" -m pip install --quiet --disable-pip-version-check "mlflow==$version" >&2
    touch "$staging/.ready"
    rm -rf "$place"
    mv "$staging" "$place"
fi
echo "$place"
