#!/usr/bin/env bash
# The end-to-end tests on other servers than Dovecot as it comes, which tests/run.sh runs them on.
#
#   bash tests/servers.sh [SERVER...]        without a name: those of `usual` below
#   bash tests/servers.sh --all              all of them; prints a table of what each cannot do
#
# Programs are brought into target/servers/SERVER, and private instances run from there, on
# loopback, in temporary directories. The distribution lets only one IMAP server be installed, so
# its packages, and the libraries that they need and the machine lacks, are only unpacked. Where a
# server cannot be had, that is said, and the others run.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/install.sh
. tests/loopback.sh
. tests/packages.sh

usual=(cyrus courier wildduck pymap hoodiecrow)
all=(cyrus courier pymap pymap-maildir mailutils twisted hoodiecrow wildduck
    imapproxy imapproxy-select nginx
    dovecot-mbox dovecot-maildir dovecot-mdbox dovecot-index dovecot-fs
    dovecot-acl dovecot-quota dovecot-one dovecot-rev1)

get() {
    case $1 in
    cyrus) prefix=$PWD/target/servers/cyrus && debian_with cyrus-common cyrus-imapd ;;
    courier)
        prefix=$PWD/target/servers/courier &&
            debian_with courier-base courier-imap courier-authlib gamin
        ;;
    *) bash tests/servers/private.sh get "$1" ;;
    esac
}

case ${1:-} in
--all) set -- "${all[@]}" ;;
'') set -- "${usual[@]}" ;;
esac
for server in "$@"; do
    [[ " ${all[*]} " = *" $server "* ]] || { echo "no such server: $server" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
table=$work/table
began=$SECONDS
failed=()

# Adds a line to the table: SERVER PASSED FAILED, and what it lacks.
line() {
    local lacks
    lacks=$(cut -f3 "$work/skipped" | sort -u | paste -sd, | sed 's/,/, /g')
    printf '%-16s %6s %6s  %s\n' "$1" "$2" "$3" "${4:-$lacks}" >>"$table"
}

for server in "$@"; do
    echo "== $server"
    : >"$work/skipped"
    if ! get "$server" >"$work/get" 2>&1; then
        tail -n 3 "$work/get"
        echo "$server cannot be had here, so it is not tried"
        line "$server" - - "cannot be had here"
        continue
    fi
    # Kills and a life with the watcher, too, on the servers that many people have.
    case $server in
    cyrus | courier)
        tests=(anywhere:: crash:: any_server everybody_at_work looking:: organising::)
        ;;
    pymap | wildduck) tests=(anywhere:: looking:: organising::) ;;
    *) tests=(anywhere::) ;;
    esac
    MAILTIDE_SERVER=$server MAILTIDE_SKIPPED=$work/skipped \
        MAILTIDE_KILLS=${MAILTIDE_KILLS:-60} MAILTIDE_SOAK=${MAILTIDE_SOAK:-60} \
        cargo test --locked --test it -- "${tests[@]}" 2>&1 | tee "$work/out" ||
        failed+=("$server")
    counts=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$work/out")
    # shellcheck disable=SC2086
    line "$server" ${counts:-? ?}
done

echo "server           passed failed  what it cannot do, and the tests leave out there"
cat "$table"
echo "tests on $* took $((SECONDS - began)) s"
[ ${#failed[@]} = 0 ] || { echo "failed on ${failed[*]}" >&2; exit 1; }
