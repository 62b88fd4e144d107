# pymap, from PyPI, in memory with one user; pymap-maildir over Maildirs, with three.

get() { python_with pymap; }

run() {
    local options=(--host 127.0.0.1 --port "$PORT" --no-tls)
    if [ -z "$setting" ]; then
        launch "$prefix/bin/pymap" "${options[@]}" dict --demo-user u1 --demo-password pass
        return
    fi
    mkdir -p "$dir/mail"
    local user hash
    hash=$("$prefix/bin/python" -c \
        'from pysasl.hashing import BuiltinHash; print(BuiltinHash().hash("pass"))')
    for user in u1 u2 u3; do
        echo "$user:x::::$user:" >>"$dir/mail/pymap-etc-passwd"
        echo "$user:$hash:::::::" >>"$dir/mail/pymap-etc-shadow"
    done
    launch "$prefix/bin/pymap" "${options[@]}" maildir "$dir/mail"
}
