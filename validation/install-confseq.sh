#!/bin/sh
# Builds confseq 0.0.11 from its source package and installs it into the environment of the given Python:
#   sh validation/install-confseq.sh .venv/bin/python
# The package pins a pybind11 that does not compile with Python 3.11, and needs Boost's headers; both come from PyPI.
set -eu
target=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$target" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'setuptools<80' wheel scikit-build 'cmake<4' ninja 'pybind11>=2.12' boost-headers numpy
headers=$("$work/venv/bin/python" -c 'import boost_headers, pathlib; print(pathlib.Path(list(boost_headers.__path__)[0]) / "include")')
PATH="$work/venv/bin:$PATH" CMAKE_ARGS="-DBoost_INCLUDE_DIR=$headers" \
  "$work/venv/bin/pip" wheel --quiet --no-build-isolation --no-deps --wheel-dir "$work" confseq==0.0.11
"$target" -m pip install --quiet --no-deps "$work"/confseq-*.whl
"$target" -m pip install --quiet multiprocess matplotlib
