# Dovecot in a setting that few have; the tests' own script starts it.

get() { command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ]; }

settings() {
    case $setting in
    mbox) export DOVECOT_MAIL="mbox:~/mbox:INBOX=~/inbox" ;;
    maildir) export DOVECOT_MAIL="maildir:~/Maildir" ;;
    mdbox) export DOVECOT_MAIL="mdbox:~/mdbox" ;;
    index) export DOVECOT_MAIL="sdbox:~/sdbox:LAYOUT=index" ;;
    fs) export DOVECOT_MAIL="maildir:~/Maildir:LAYOUT=fs" ;;
    rev1) export DOVECOT_CAPABILITY=IMAP4rev1 ;;
    one) export DOVECOT_CONNECTIONS=1 ;;
    acl)
        export DOVECOT_PLUGINS="acl" DOVECOT_IMAP_PLUGINS="imap_acl"
        export DOVECOT_PLUGIN_SETTINGS="acl = vfile"
        ;;
    quota)
        export DOVECOT_PLUGINS="quota" DOVECOT_IMAP_PLUGINS="imap_quota"
        export DOVECOT_PLUGIN_SETTINGS=$'quota = count:User\nquota_rule = *:storage=1G\nquota_vsizes = yes'
        ;;
    *) echo "no such setting of Dovecot: $setting" >&2 && exit 2 ;;
    esac
}

start() {
    settings
    bash "$tests/dovecot.sh" start "$dir"
}

ended() { bash "$tests/dovecot.sh" stop "$dir"; }
