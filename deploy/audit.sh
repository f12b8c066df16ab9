#!/bin/sh
# Looks up what the image runs with, and is built with, in PyPI's list of known vulnerabilities.
# --strict: where it could not look, pip-audit says "No known vulnerabilities found" without it.
set -eu
cd "$(dirname "$0")"
for lock in requirements.lock requirements-build.lock; do
    pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement "$lock"
done
