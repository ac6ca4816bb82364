#!/bin/sh
# Makes a role and a database for each service, and hands over what an older version left to the superuser (roles.sql).
#   roles.sh        until it has been done once
#   roles.sh keep   until it is ended: again every ten seconds, so that a password that changes in the Secret, and a
#                   backup that is restored, are taken up; the file $MADE says that it was done once
# PGHOST and PGUSER say where and as whom. The folder $PASSWORD_FILES has the passwords: `superuser`, and one a service.
set -u
here=$(dirname "$0")
made=${MADE:-/tmp/roles-made}
applied=
export HOME=/tmp PGCONNECT_TIMEOUT=3 CHANGED SERVICE PGPASSWORD
# Nobody waits for long behind this, and no password gets into the server's log.
export PGOPTIONS='-c lock_timeout=1s -c client_min_messages=warning -c log_statement=none -c log_min_error_statement=panic -c log_min_duration_statement=-1'
# While a new server is being set up it answers on its socket only.
case $PGHOST in /*) listens=127.0.0.1 ;; *) listens=$PGHOST ;; esac
# The first process of a container gets no signal that it does not ask for.
trap 'exit 0' TERM INT

look() {
    pg_isready -q -h "$listens" -d postgres || return
    now=
    for file in superuser login dialogue business; do
        # With an empty password no log-in would succeed, not even the superuser's.
        [ -s "$PASSWORD_FILES/$file" ] || { echo "there is no password in $PASSWORD_FILES/$file" >&2; return 1; }
        now=$now$(cat "$PASSWORD_FILES/$file"): || return
    done
    CHANGED=true
    [ "$now" != "$applied" ] || CHANGED=false
    PGPASSWORD=$(cat "$PASSWORD_FILES/superuser") || return
    for SERVICE in login dialogue business; do
        psql -wqX -d postgres -f "$here/roles.sql" || return
    done
    applied=$now
}

while :; do
    pause=0.5
    if look; then
        : > "$made"
        [ "${1:-}" = keep ] || exit 0
        pause=10
    fi
    sleep "$pause" &
    wait $!
done
