# shellcheck shell=sh
# Finds the PostgreSQL that demo and tests run on: the distribution's where it has pgvector, else a private tree
# of Debian 13's PostgreSQL 17. Sourced after packages.sh.

TREE=$CACHE/postgresql-17
TREE_SUITE=trixie
TREE_BIN=$TREE/usr/lib/postgresql/17/bin

# The newest installed server's bin directory, with "vector" only one that has pgvector; empty if none.
postgres_find() {
    best=
    best_version=0
    for bin in /usr/lib/postgresql/*/bin; do
        version=${bin%/bin}
        version=${version##*/}
        [ -x "$bin/initdb" ] || continue
        if [ "${1:-}" = vector ] && [ ! -e "/usr/share/postgresql/$version/extension/vector.control" ]; then
            continue
        fi
        if [ "$version" -gt "$best_version" ]; then
            best=$bin
            best_version=$version
        fi
    done
    printf '%s' "$best"
}

# The packages that are missing for it; with "plain", for the distribution's own PostgreSQL as well.
postgres_packages() {
    [ -z "${ERRAND_TEST_PGBIN:-}" ] || return 0
    # Time zone names come from the machine's own tzdata, wherever the server stands.
    [ -e /usr/share/zoneinfo/UTC ] || echo tzdata
    [ -z "$(postgres_find vector)" ] || return 0
    # shellcheck disable=SC1091
    system=$(. /etc/os-release && echo "$ID ${VERSION_ID:-}")
    case $system in
        "debian 12")
            [ -x "$TREE_BIN/postgres" ] || echo patchelf binutils debian-archive-keyring
            [ "${1:-}" != plain ] || [ -n "$(postgres_find)" ] || echo postgresql-15
            ;;
        "debian 13") echo postgresql-17 postgresql-17-pgvector ;;
        "ubuntu 24.04") echo postgresql-16 postgresql-16-pgvector ;;
        *) die "no PostgreSQL with pgvector: install postgresql-NN-pgvector, or set ERRAND_TEST_PGBIN" ;;
    esac
}

# Once the packages are there: sets ERRAND_TEST_PGBIN (with pgvector) and ERRAND_TEST_PGBIN_PLAIN.
postgres_need() {
    if [ -z "${ERRAND_TEST_PGBIN:-}" ]; then
        ERRAND_TEST_PGBIN=$(postgres_find vector)
        if [ -z "$ERRAND_TEST_PGBIN" ]; then
            tree_need
            ERRAND_TEST_PGBIN=$TREE_BIN
        fi
    fi
    if [ -z "${ERRAND_TEST_PGBIN_PLAIN:-}" ]; then
        ERRAND_TEST_PGBIN_PLAIN=$(postgres_find)
        : "${ERRAND_TEST_PGBIN_PLAIN:=$ERRAND_TEST_PGBIN}"
    fi
    export ERRAND_TEST_PGBIN ERRAND_TEST_PGBIN_PLAIN
}

# Makes the private tree unless it is there; it takes its name only when complete.
tree_need() {
    [ ! -x "$TREE_BIN/postgres" ] || return 0
    mkdir -p "$CACHE"
    say "making a private PostgreSQL 17 with pgvector in $TREE (once; 100 MB to download)"
    flock "$CACHE/postgresql.lock" sh "$ROOT/packaging/dev/tree.sh" "$TREE" "$TREE_SUITE" >&2 ||
        die "the private PostgreSQL could not be made"
}
