#!/bin/sh
# Writes both locks anew: what the image runs with, and what its wheel is built with.
# Wants pip-tools on the oldest Python that is supported, whose dependencies include the others'.
# Configuration of pip on this machine is left out, so that no index or host gets into the files.
set -eu
cd "$(dirname "$0")/.."
export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND='sh deploy/lock.sh'
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL 2>/dev/null || :
compile() {
    pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras "$@"
}
compile --extra fleet --output-file deploy/requirements.lock pyproject.toml
python3 -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' |
    compile --output-file deploy/requirements-build.lock -
