# Sourced by the scripts that bring servers into $prefix, without installing anything elsewhere.

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

# Unpacks PACKAGE... and, round by round, the libraries still missing.
unpack() {
    local package deb
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

# PACKAGE... of the distribution, unpacked.
debian_with() {
    [ ! -e "$prefix/complete" ] || return 0
    command -v apt-get >/dev/null || { echo "no apt-get"; return 1; }
    unpack "$@" && return
    # The lists of packages may be missing or old.
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq || true
    unpack "$@"
}

# PACKAGE from PyPI, in a virtual environment.
python_with() {
    [ ! -e "$prefix/complete" ] || return 0
    command -v python3 >/dev/null || { echo "no python3"; return 1; }
    rm -rf "$prefix"
    # A Python without venv has virtualenv, or the server is not tried.
    python3 -m venv "$prefix" || python3 -m virtualenv -q "$prefix" || return 1
    "$prefix/bin/pip" install -q --disable-pip-version-check "$1" || return 1
    touch "$prefix/complete"
}

# PACKAGE from npm; nothing of it is run while it is installed.
node_with() {
    [ ! -e "$prefix/complete" ] || return 0
    command -v npm >/dev/null || { echo "no npm"; return 1; }
    rm -rf "$prefix"
    mkdir -p "$prefix"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$prefix" "$1" || return 1
    touch "$prefix/complete"
}
