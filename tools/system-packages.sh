#!/bin/sh
# Install what the sandbox needs (bubblewrap, libseccomp) where that may be done without asking; else say how.
# Silent and quick when all is there. Never fails its caller: without a sandbox its tests are skipped, loudly.

have() { command -v "$1" >/dev/null 2>&1; }

have_library() {
    for folder in /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /lib/*-linux-* /usr/lib/*-linux-*; do
        [ -e "$folder/libseccomp.so.2" ] && return 0
    done
    return 1
}

[ "$(uname -s)" = Linux ] || exit 0  # elsewhere there is no sandbox to be had
have bwrap && have prlimit && have setpriv && have_library && exit 0

if have apt-get; then
    install="apt-get install -y -q --no-install-recommends bubblewrap libseccomp2 util-linux"
    refresh="apt-get update -q"
elif have dnf; then
    install="dnf install -y -q bubblewrap libseccomp util-linux"
elif have pacman; then
    install="pacman -S --noconfirm --needed bubblewrap libseccomp util-linux"
elif have zypper; then
    install="zypper --non-interactive install bubblewrap libseccomp2 util-linux"
elif have apk; then
    install="apk add --quiet bubblewrap libseccomp setpriv util-linux-misc"
else
    echo "The sandbox needs bubblewrap and libseccomp: install them with your system's package manager." >&2
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    if have sudo && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "The sandbox needs bubblewrap and libseccomp. To install them: sudo $install" >&2
        exit 0
    fi
fi

echo "installing bubblewrap and libseccomp for the sandbox" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # these are lists of words
if ! $as_root $install >/dev/null 2>&1; then
    [ -n "${refresh:-}" ] && $as_root $refresh >/dev/null 2>&1
    $as_root $install >/dev/null 2>&1 || echo "That did not work. To try by hand: $install" >&2
fi
exit 0
