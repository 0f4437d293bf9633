#!/bin/sh
# Install what the sandbox needs (bubblewrap, libseccomp) where that may be done without asking; else say how.
# With the word `postgres` also a PostgreSQL server, for the tests that start one of their own.
# Silent and quick when all is there. Never fails its caller: without them their tests are skipped, loudly.

have() { command -v "$1" >/dev/null 2>&1; }

have_library() {
    for folder in /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /lib/*-linux-* /usr/lib/*-linux-*; do
        [ -e "$folder/libseccomp.so.2" ] && return 0
    done
    return 1
}

have_sandbox() { have bwrap && have prlimit && have setpriv && have_library; }

have_postgres() {
    for program in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$program" ] && return 0
    done
    have postgres && have initdb
}

[ "$(uname -s)" = Linux ] || exit 0  # elsewhere there is no sandbox to be had
wanted=""
have_sandbox || wanted="sandbox"
[ "${1:-}" = postgres ] && { have_postgres || wanted="$wanted postgres"; }
[ -n "$wanted" ] || exit 0

if have apt-get; then
    install="apt-get install -y -q --no-install-recommends" refresh="apt-get update -q"
    sandbox="bubblewrap libseccomp2 util-linux" postgres="postgresql"
elif have dnf; then
    install="dnf install -y -q" sandbox="bubblewrap libseccomp util-linux" postgres="postgresql-server"
elif have pacman; then
    install="pacman -S --noconfirm --needed" sandbox="bubblewrap libseccomp util-linux" postgres="postgresql"
elif have zypper; then
    install="zypper --non-interactive install" sandbox="bubblewrap libseccomp2 util-linux" postgres="postgresql-server"
elif have apk; then
    install="apk add --quiet" sandbox="bubblewrap libseccomp setpriv util-linux-misc" postgres="postgresql"
else
    echo "Missing for:$wanted. Install bubblewrap, libseccomp, PostgreSQL with your system's package manager." >&2
    exit 0
fi
for name in $wanted; do
    [ "$name" = sandbox ] && install="$install $sandbox" || install="$install $postgres"
done

as_root=""
if [ "$(id -u)" != 0 ]; then
    if have sudo && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "Something is missing for: $wanted. To install it: sudo $install" >&2
        exit 0
    fi
fi

echo "installing what is needed for: $wanted" >&2
export DEBIAN_FRONTEND=noninteractive
if have apt-get && [ ! -d /etc/postgresql-common ]; then  # a server of the tests' own is enough: make and start none
    case "$wanted" in *postgres*)
        $as_root mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null ;;
    esac
fi
# shellcheck disable=SC2086  # these are lists of words
if ! $as_root $install >/dev/null 2>&1; then
    [ -n "${refresh:-}" ] && $as_root $refresh >/dev/null 2>&1
    $as_root $install >/dev/null 2>&1 || echo "That did not work. To try by hand: $install" >&2
fi
exit 0
