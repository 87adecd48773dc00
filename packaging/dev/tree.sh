#!/bin/sh
# Makes a private tree of PostgreSQL 17 and pgvector from the packages of a newer Debian, beside the system's own:
#     tree.sh DIRECTORY SUITE
# Needs no root and changes nothing on the system: apt resolves, fetches and verifies under a state of its own, the
# packages are unpacked but never installed, and the programs are told (patchelf) to use the tree's own libraries.
# The tree cannot be moved afterwards. Run under a lock.
set -eu
umask 022

tree=$1
suite=$2
bin=usr/lib/postgresql/17/bin
[ ! -x "$tree/$bin/postgres" ] || exit 0

work=$tree.part
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/tree"
: >"$work/apt/status"

# The mirror that this machine's own Debian comes from.
# shellcheck disable=SC2016 # apt's own fields
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 'Label: Debian' |
    sed -n 's/^Debian //p' | head -n 1)
if [ -z "$mirror" ]; then
    echo "tree: apt on this machine has no Debian repository (or no apt-get update was run yet)" >&2
    exit 1
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror $suite main" >"$work/apt/sources.list"

apt_own() {
    apt-get -qq -y --no-install-recommends \
        -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
        -o Dir::State::extended_states="$work/apt/extended_states" \
        -o Dir::Cache="$work/apt" -o APT::Sandbox::User= "$@"
}
apt_own update
apt_own --download-only install postgresql-17-pgvector

for package in "$work"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$work/tree"
done
# Libraries, server and its data are all we use of it.
mkdir "$work/slim" "$work/slim/usr" "$work/slim/usr/share"
mv "$work/tree/usr/lib" "$work/slim/usr/lib"
mv "$work/tree/usr/share/postgresql" "$work/slim/usr/share/postgresql"

loader=$(cd "$work/slim" && find usr/lib -type f -name 'ld-linux*.so.*' | head -n 1)
libraries=$tree/${loader%/*}:$tree/usr/lib/postgresql/17/lib
for program in "$work/slim/$bin"/*; do
    if readelf -h "$program" >/dev/null 2>&1; then
        patchelf --set-interpreter "$tree/$loader" --force-rpath --set-rpath "$libraries" "$program"
    fi
done

rm -rf "$tree"
mv "$work/slim" "$tree"
if ! "$tree/$bin/postgres" -V >/dev/null || ! "$tree/$bin/psql" -V >/dev/null; then
    rm -rf "$tree"
    echo "tree: the unpacked PostgreSQL does not start" >&2
    exit 1
fi
