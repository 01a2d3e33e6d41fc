#!/bin/sh
# Checks the style of the contract by the rules of tools/redocly.yaml: no error and no warning. Where
# node can't be had it says so and succeeds; it fails where GATEHOUSE_TEST_NO_SKIP=1 forbids that.
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh node

redocly=tools/node_modules/.bin/redocly
if [ ! -x $redocly ]; then
	echo '################################################################################' >&2
	echo '# SKIP: the contract was NOT linted: there is no node, or no tools/node_modules.' >&2
	echo '################################################################################' >&2
	[ "${GATEHOUSE_TEST_NO_SKIP:-}" != 1 ]
	exit
fi
export REDOCLY_SUPPRESS_UPDATE_NOTICE=true
$redocly lint --config tools/redocly.yaml --format stylish --max-problems 1000 api/openapi.yaml
