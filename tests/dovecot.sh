#!/usr/bin/env bash
# A private Dovecot for tests and the demo, on loopback, on free ports, in one directory.
#
#   tests/dovecot.sh start DIR [CAPABILITY...]   writes DIR/env (PORT, TLS_PORT, CA)
#   tests/dovecot.sh stop DIR
#
# Users u1 to u9, password "pass". With CAPABILITY words, the server announces just these after
# login (IMAP4rev1 is added). DOVECOT_PREFIX and DOVECOT_SEPARATOR set the namespace; the other
# variables below, what tests/servers/dovecot.sh asks for. Works as root or not; touches nothing
# outside DIR, and signals only the process that it started.
set -euo pipefail
command=${1:?start or stop}
dir=${2:?DIR}
shift 2
export PATH=$PATH:/usr/sbin:/usr/local/sbin
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
pid_file=$dir/run/master.pid

. "$(dirname "$0")/loopback.sh"
running() { [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; }

certificates() {
    [ -s "$dir/tls/ca.crt" ] && return
    mkdir -p "$dir/tls"
    (
        cd "$dir/tls"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=test CA" \
            -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
            -days 3650 -extfile ext -out server.crt
    ) >/dev/null 2>&1
}

write_config() {
    local login_user mail_user mail_group internal_user internal_group rootless=""
    if [ "$(id -u)" = 0 ]; then
        mail_user=mail mail_group=mail internal_user=dovecot internal_group=dovecot
        login_user=dovenull
        chown mail:mail "$dir/mail"
    else
        mail_user=$(id -un) mail_group=$(id -gn)
        internal_user=$mail_user internal_group=$mail_group login_user=$mail_user
        rootless=$'service anvil {\n  chroot =\n}\nservice imap-login {\n  chroot =\n}'
    fi
    local capability=""
    [ $# -gt 0 ] && capability="imap_capability = IMAP4rev1 $*"
    [ -z "${DOVECOT_CAPABILITY:-}" ] || capability="imap_capability = $DOVECOT_CAPABILITY"
    cat >"$dir/dovecot.conf" <<CONF
base_dir = $dir/run
state_dir = $dir/state
instance_name = mailtide-test
log_path = $dir/dovecot.log
protocols = imap
listen = 127.0.0.1
disable_plaintext_auth = no
auth_mechanisms = plain login
ssl = yes
ssl_cert = <$dir/tls/server.crt
ssl_key = <$dir/tls/server.key
ssl_dh =
default_internal_user = $internal_user
default_internal_group = $internal_group
default_login_user = $login_user
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = static
  args = password=pass
}
userdb {
  driver = static
  args = uid=$mail_user gid=$mail_group home=$dir/mail/%u
}
mail_location = ${DOVECOT_MAIL:-sdbox:~/sdbox}
mail_plugins = ${DOVECOT_PLUGINS:-}
mail_fsync = never
mail_max_userip_connections = ${DOVECOT_CONNECTIONS:-1000}
mail_max_keyword_length = 100
auth_failure_delay = 0
namespace inbox {
  inbox = yes
  separator = ${DOVECOT_SEPARATOR:-/}
  prefix = ${DOVECOT_PREFIX:-}
  mailbox Drafts {
    special_use = \\Drafts
  }
  mailbox Trash {
    special_use = \\Trash
  }
}
protocol imap {
  mail_plugins = ${DOVECOT_PLUGINS:-} ${DOVECOT_IMAP_PLUGINS:-}
  $capability
}
plugin {
  ${DOVECOT_PLUGIN_SETTINGS:-}
}
service imap-login {
  service_count = 0
  inet_listener imap {
    port = $PORT
  }
  inet_listener imaps {
    port = $TLS_PORT
    ssl = yes
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
$rootless
CONF
}

case $command in
stop)
    if running; then
        # Asked politely it takes seconds to go; nothing of it is to be kept.
        pid=$(cat "$pid_file")
        children=$(awk -v parent="$pid" '/^PPid:/ && $2 == parent { split(FILENAME, p, "/"); print p[3] }' \
            /proc/[0-9]*/status 2>/dev/null || true)
        # shellcheck disable=SC2086
        kill -KILL "$pid" $children 2>/dev/null || true
        rm -f "$pid_file"
        for _ in $(seq 100); do alive "$pid" || break; sleep 0.05; done
    fi
    ;;
start)
    running && { echo "a server runs in $dir already" >&2; exit 1; }
    mkdir -p "$dir/mail" "$dir/run" "$dir/state"
    chmod 755 "$dir" "$dir/mail"
    certificates
    # Another process may take a port between the look and the start: then once more.
    for _ in 1 2 3 4 5; do
        PORT=$(free_port) TLS_PORT=$(free_port)
        write_config "$@"
        dovecot -c "$dir/dovecot.conf" >"$dir/start.log" 2>&1 </dev/null || true
        for _ in $(seq 100); do
            if running && taken "$PORT"; then
                printf 'PORT=%s\nTLS_PORT=%s\nCA=%s\n' "$PORT" "$TLS_PORT" "$dir/tls/ca.crt" >"$dir/env"
                exit 0
            fi
            sleep 0.05
        done
    done
    echo "Dovecot did not start:" >&2
    cat "$dir/start.log" "$dir/dovecot.log" >&2 || true
    exit 1
    ;;
*)
    echo "start or stop, not $command" >&2
    exit 2
    ;;
esac
