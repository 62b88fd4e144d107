# Sourced by the scripts that start private servers.

# A process that has ended may wait to be collected; that is not alive.
alive() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; }
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        taken "$port" || { echo "$port"; return; }
    done
}

# Where the libraries lie that were unpacked into $1 (tests/servers.sh).
library_path() { find "$1" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:; }
