#!/bin/sh
# Checks deploy/docker: no error and no warning. Where node can't be had it says so and succeeds; it fails where
# GATEHOUSE_TEST_NO_SKIP=1 forbids that.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh node

programs=tools/node_modules/.bin
if [ ! -x $programs/dclint ] || [ ! -x $programs/dockerfile-utils ]; then
	echo '################################################################################' >&2
	echo '# SKIP: deploy/docker was NOT linted: there is no node, or no tools/node_modules.' >&2
	echo '################################################################################' >&2
	[ "${GATEHOUSE_TEST_NO_SKIP:-}" != 1 ]
	exit
fi
$programs/dclint --config tools/dclint.yaml --max-warnings 0 deploy/docker/compose.yaml
$programs/dockerfile-utils lint deploy/docker/Dockerfile
