#!/bin/sh
# Makes what is missing of the secrets of deploy/compose.yaml, one file each, and leaves the rest.
#
#   sh deploy/compose/make-secrets.sh [directory]      EMAIL_URL=smtp+tls://… in the environment
#
# The directory opens to its owner alone; the files can be read by the containers' users, who reach
# them only where a container is given one.
set -eu
directory=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$directory"
chmod 700 "$directory"

# 48 random bytes, in letters that no URL or configuration file has a meaning for.
random() { head -c 48 /dev/urandom | base64 | tr -d '\n' | tr '/+' '_-'; }
# Under another name until it is whole: a file that is there is complete.
put() {
    [ -e "$directory/$1" ] && return
    printf '%s\n' "$2" >"$directory/.new"
    chmod 444 "$directory/.new"
    mv "$directory/.new" "$directory/$1"
}
of() { cat "$directory/$1"; }

put SECRET_KEY "$(random)"
put JWT_SIGNING_KEYS "k1:$(random)"
put API_KEY_PEPPERS "p1:$(random)"
put AUDIT_KEYS "a1:$(random)"
put MFA_KEYS "m1:$(random)"
put POSTGRES_PASSWORD "$(random)"
put DATABASE_PASSWORD "$(random)"
put DATABASE_OWNER_PASSWORD "$(random)"
put DATABASE_URL "postgres://fluxiq:$(of DATABASE_PASSWORD)@postgres:5432/fluxiq"
put DATABASE_OWNER_URL "postgres://fluxiq_owner:$(of DATABASE_OWNER_PASSWORD)@postgres:5432/fluxiq"
valkey=$(random)
if [ ! -e "$directory/VALKEY_CONF" ]; then
    rm -f "$directory/REDIS_URL" # the two hold one password
fi
put VALKEY_CONF "requirepass $valkey
save \"\"
appendonly no
maxmemory 384mb
maxmemory-policy noeviction"
put REDIS_URL "redis://:$(of VALKEY_CONF | sed -n 's/^requirepass //p')@valkey:6379/0"
put EMAIL_URL "${EMAIL_URL:-smtp://localhost:25}"
