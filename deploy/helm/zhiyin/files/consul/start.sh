#!/bin/sh
# Starts Consul with the configuration beside this file and $MANAGEMENT_TOKEN as its initial management token. $DATA is kept,
# $RUN is not; arguments go to the agent.
set -eu
here=$(dirname "$0")
umask 077
# Its name since 1.11; versions before know the older one only, and those after 1.x will know it no more.
case $(consul version) in
"Consul v1."[0-9].* | "Consul v1.10."*) name=master ;;
*) name=initial_management ;;
esac
printf '{"acl": {"tokens": {"%s": "%s"}}}' "$name" "$MANAGEMENT_TOKEN" > "$RUN/tokens.json"
exec consul agent -config-file="$here/consul.json" -config-file="$RUN/tokens.json" -data-dir="$DATA" "$@"
