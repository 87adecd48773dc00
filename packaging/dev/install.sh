#!/bin/sh
# Installs the named packages; run as root, by packages.sh. Starts no service and makes no database cluster:
# the PostgreSQL packages would otherwise do both.
set -eu

export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
log=$(mktemp)
no_cluster=/etc/postgresql-common/createcluster.d/errand-dev.conf
trap 'rm -f "$log" "$no_cluster"' EXIT
trap 'exit 130' INT TERM

run() {
    if ! "$@" >"$log" 2>&1; then
        tail -n 25 "$log" >&2
        echo "install: failed: $*" >&2
        exit 1
    fi
}

run apt-get -q update
for name in "$@"; do
    if ! apt-cache policy "$name" | grep -q 'Candidate: [^(]'; then
        echo "install: apt knows no package $name." >&2
        echo "On Debian the component main must be enabled, on Ubuntu universe too" >&2
        echo "(add-apt-repository universe), in /etc/apt/sources.list or sources.list.d." >&2
        exit 1
    fi
done
# Only while we install: the machine's own settings stay as they are.
case " $* " in
    *" postgresql"*)
        mkdir -p "${no_cluster%/*}"
        echo "create_main_cluster = false" >"$no_cluster"
        chmod 644 "$no_cluster"
        ;;
esac
run apt-get -q -y --no-install-recommends install "$@"
