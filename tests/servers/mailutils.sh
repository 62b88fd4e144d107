# GNU Mailutils imap4d, from the distribution, over Maildirs. Users are u1@test to u9@test.

get() { debian_with mailutils-imap4d; }

run() {
    local user
    user=$(id -un)
    [ "$user" != root ] || user=mail
    mkdir -p "$dir/passwd" "$dir/mail"
    local n
    : >"$dir/passwd/test"
    for n in 1 2 3; do
        mkdir -p "$dir/mail/u$n/INBOX"/{cur,new,tmp}
        echo "u$n:$(openssl passwd -6 pass):$(id -u "$user"):$(id -g "$user")::$dir/mail/u$n:/bin/sh" \
            >>"$dir/passwd/test"
    done
    cat >"$dir/imap4d.conf" <<CONF
mode daemon;
foreground yes;
pidfile "$dir/pid";
server 127.0.0.1:$PORT { };
mailbox {
  mailbox-type maildir;
  mailbox-pattern "maildir:$dir/mail/\${user}/INBOX";
};
auth {
  authentication generic;
  authorization virtdomain;
};
virtdomain { passwd-dir "$dir/passwd"; };
CONF
    [ "$user" != mail ] || chown -R mail "$dir/mail"
    LD_LIBRARY_PATH=$(library_path "$prefix") launch "$prefix/usr/sbin/imap4d" \
        --config-file "$dir/imap4d.conf"
}
