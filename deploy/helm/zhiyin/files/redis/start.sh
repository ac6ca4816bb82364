#!/bin/sh
# Starts Redis with those users of users.acl that have a password file in $PASSWORD_FILES; no other client is let in.
# INSTALLATION there stands for $INSTALLATION. $DATA is kept, $RUN is not; arguments go to the server.
set -eu
here=$(dirname "$0")
umask 077
# A pod that was deleted by force may still run when the next one starts, so the process locks its volume.
exec 9> "$DATA/.lock"
flock 9
sed -e '/^#/d' -e "s/INSTALLATION/$INSTALLATION/g" "$here/users.acl" > "$RUN/users"
# `default` is off, so no client can log in as it. Redis replays its append-only log as this user, though, and silently skips
# the commands that it has no right to; so it keeps all rights.
echo 'user default off resetpass allkeys allchannels allcommands' > "$RUN/users.acl"
while read -r user rules; do
    [ -e "$PASSWORD_FILES/$user" ] || continue
    [ -s "$PASSWORD_FILES/$user" ] || { echo "there is no password in $PASSWORD_FILES/$user" >&2; exit 1; }
    digest=$(printf %s "$(cat "$PASSWORD_FILES/$user")" | sha256sum | cut -c 1-64)
    echo "user $user on #$digest resetchannels $rules" >> "$RUN/users.acl"
done < "$RUN/users"
exec redis-server "$here/redis.conf" --dir "$DATA" --aclfile "$RUN/users.acl" "$@"
