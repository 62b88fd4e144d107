#!/usr/bin/env bash
# The end-to-end tests on Cyrus and Courier, besides Dovecot, which tests/run.sh runs them on.
#
#   bash tests/servers.sh [SERVER...]        cyrus courier
#
# The distribution lets only one IMAP server be installed. So their packages, and the libraries
# that they need and the machine lacks, are unpacked into target/servers/SERVER, and private
# instances run from there (tests/cyrus.sh, tests/courier.sh). Needs apt-get; elsewhere it says so.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
. tests/loopback.sh

# Packages that PACKAGE... need, libraries only.
libraries() {
    apt-cache depends --no-recommends --no-suggests "$@" |
        sed -n 's/^[ |]*\(Pre\)\?Depends: \(lib[a-z0-9.+-]*\)$/\2/p' | sort -u
}

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# What programs under the working directory link to and is nowhere.
missing_libraries() {
    local paths
    paths=$(library_path "$PWD")
    find . -type f \( -perm -u+x -o -name '*.so*' \) -print0 |
        LD_LIBRARY_PATH=$paths xargs -0 -n1 ldd 2>/dev/null |
        sed -n 's/^\t\(.*\) => not found$/\1/p' | sort -u
}

# PREFIX PACKAGE...: unpacks packages and, round by round, the libraries still missing.
unpack() {
    local prefix=$1 package deb
    shift
    [ ! -e "$prefix/complete" ] || return 0
    rm -rf "$prefix"
    mkdir -p "$prefix/packages"
    local wanted=("$@")
    while [ ${#wanted[@]} -gt 0 ]; do
        (cd "$prefix/packages" && apt-get download -qq "${wanted[@]}" 2>/dev/null) || return 1
        for deb in "$prefix"/packages/*.deb; do
            dpkg -x "$deb" "$prefix" || return 1
            mv "$deb" "$deb.unpacked"
        done
        [ -n "$(cd "$prefix" && missing_libraries)" ] || break
        local next=()
        for package in $(libraries "${wanted[@]}"); do
            installed "$package" || [ -e "$(echo "$prefix/packages/${package}"_*)" ] ||
                next+=("$package")
        done
        wanted=("${next[@]}")
    done
    rm -f "$prefix"/packages/*
    touch "$prefix/complete"
}

get() {
    local packages
    case $1 in
    cyrus) packages=(cyrus-common cyrus-imapd) ;;
    courier) packages=(courier-base courier-imap courier-authlib gamin) ;;
    *) echo "no such server: $1" >&2 && exit 2 ;;
    esac
    unpack "$PWD/target/servers/$1" "${packages[@]}" && return
    # The lists of packages may be missing or old.
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq || true
    unpack "$PWD/target/servers/$1" "${packages[@]}"
}

command -v apt-get >/dev/null || { echo "no apt-get: Cyrus and Courier are not tried"; exit 0; }
[ $# -gt 0 ] || set -- cyrus courier
servers=()
for server in "$@"; do
    # Not every distribution, and not every release, has each of them.
    if get "$server"; then
        servers+=("$server")
    else
        echo "$server: the packages cannot be had here, so it is not tried"
    fi
done

began=$SECONDS
for server in "${servers[@]}"; do
    echo "== $server"
    MAILTIDE_SERVER=$server MAILTIDE_KILLS=${MAILTIDE_KILLS:-60} MAILTIDE_SOAK=${MAILTIDE_SOAK:-60} \
        cargo test --locked --test it -- anywhere:: crash:: any_server everybody_at_work
done
echo "tests on ${servers[*]:-none} took $((SECONDS - began)) s"
