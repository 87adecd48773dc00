# shellcheck shell=sh disable=SC2034
# What the pieces of ./dev share: messages, the cache directory, the way to ask for root.
# Sourced; ROOT is the checkout. Not a program.

say() { printf '%s\n' "dev: $*" >&2; }
die() { say "$*"; exit 1; }

# Outside the checkout: it holds what survives a `git clean`. tests/support/cluster.py says the same.
if [ "$(id -u)" -eq 0 ]; then
    CACHE=/var/cache/errand
else
    CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/errand
fi

# as_root WHY COMMAND...: runs the command as root; a normal user is shown it and asked first.
as_root() {
    why=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
        return
    fi
    command -v sudo >/dev/null || die "$why needs root and there is no sudo; run as root: $*"
    if [ "${ERRAND_YES:-}" != 1 ] && [ -t 0 ]; then
        printf 'dev: %s needs root:\n  sudo %s\nRun it? [y/n] ' "$why" "$*" >&2
        read -r answer || answer=n
        case $answer in
            [yY]*) ;;
            *) die "not run; install it yourself and start again" ;;
        esac
    fi
    sudo "$@"
}
