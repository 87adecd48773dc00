# shellcheck shell=sh disable=SC2034
# Which Debian and Ubuntu packages each verb needs, and the installing of those that are missing.
# Sourced after common.sh. What is there already costs one dpkg-query and no apt call.

# cmocka and python stand here too: the build makes the unit tests and registers the others.
PACKAGES_BUILD="gcc libc6-dev cmake ninja-build pkgconf libpq-dev libcurl4-openssl-dev libjansson-dev
    libmicrohttpd-dev libev-dev uthash-dev libssl-dev libcmocka-dev python3"
PACKAGES_RUN="python3-psycopg2"
PACKAGES_TEST="$PACKAGES_RUN python3-pytest python3-psycopg pgbouncer spin"

# packages_need "NAME...": returns when all of them are installed.
packages_need() {
    # shellcheck disable=SC2086 # a list of words
    set -- $1
    command -v dpkg-query >/dev/null ||
        die "this sets up Debian 12, 13 and Ubuntu 24.04; elsewhere install what packaging/dev/packages.sh lists"
    missing=
    # Of a package it has never heard of dpkg-query says nothing on stdout.
    installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
    for name in "$@"; do
        case $installed in
            *" installed:$name "*) ;;
            *) missing="$missing $name" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "installing:$missing"
    # shellcheck disable=SC2086 # a list of words
    as_root "installing packages" sh "$ROOT/packaging/dev/install.sh" $missing ||
        die "the packages above could not be installed"
}
