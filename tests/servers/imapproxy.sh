# imapproxy, from the distribution, before a Dovecot; imapproxy-select answers SELECT itself.

get() { debian_with imapproxy; }

run() {
    [ -n "${BEHIND:-}" ] || dovecot_behind
    local remembers=no user
    user=$(id -un)
    # It does not run as root.
    [ "$user" != root ] || user=mail
    [ "$setting" != select ] || remembers=yes
    cat >"$dir/imapproxy.conf" <<CONF
server_hostname 127.0.0.1
server_port $BEHIND
listen_address 127.0.0.1
listen_port $PORT
connect_retries 10
connect_delay 5
cache_size 3072
cache_expiration_time 300
proc_username $user
proc_groupname $(id -gn "$user")
stat_filename $dir/stats
protocol_log_filename $dir/protocol.log
syslog_facility LOG_MAIL
send_tcp_keepalives no
enable_select_cache $remembers
foreground_mode yes
force_tls no
enable_admin_commands no
CONF
    [ "$user" != mail ] || chown mail "$dir"
    LD_LIBRARY_PATH=$(library_path "$prefix") launch "$prefix/usr/sbin/imapproxyd" \
        -f "$dir/imapproxy.conf" -p "$dir/pid"
}
