# Runs on the device, started by `edgetl deploy` and `edgetl pull` over ssh: `sh -c THIS edgetl VERB HOME …`.
# Results go to standard output; the last line on standard error is the reason of a failure.
set -eu

verb=$1
lib="$HOME/.local/lib/edgetl" # runtime-DIGEST/: a virtual environment; current: a link to the one in use
home=${2:-${EDGETL_HOME:-$HOME/.local/share/edgetl}}
shift 2

fail() {
    echo "$1" >&2
    exit 1
}

# What is there: one NAME=VALUE a line.
facts() {
    program="$lib/current/bin/edgetl-device"
    [ -x "$program" ] || program=$(command -v edgetl-device || true)
    echo "home=$home"
    echo "program=$program"
    echo "runtime=$(cat "$lib/current/wheel.sha256" 2>/dev/null || true)"
    echo "bundle=$(sha256sum "$home/bundle.edgetl" 2>/dev/null | cut -d ' ' -f 1)"
    echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)"
}

# receive FILE SHA256: standard input → FILE, whole or not at all.
receive() {
    mkdir -p "$(dirname "$1")"
    trap 'rm -f "$1"' HUP INT TERM
    cat > "$1"
    echo "$2  $1" | sha256sum --check --quiet >&2 || { rm -f "$1"; fail "$(basename "$1") did not arrive whole"; }
    echo "$1"
}

# runtime WHEEL SHA256: a virtual environment with the wheel on standard input → its folder. Nothing is switched.
runtime() {
    new="$lib/runtime-$(echo "$2" | cut -c 1-12)"
    if [ "$(cat "$new/wheel.sha256" 2>/dev/null || true)" != "$2" ]; then
        rm -rf "$new"
        receive "$lib/$1" "$2" >&2
        # System packages are visible: picamera2 and libcamera come by apt and not by pip.
        python3 -m venv --system-site-packages "$new" >&2 ||
            { rm -rf "$new"; fail "cannot make a virtual environment: sudo apt install python3-venv"; }
        "$new/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
            "$lib/$1[sign]" >&2 || { rm -rf "$new"; fail "pip could not install edgetl-device: -v shows why"; }
        rm "$lib/$1"
        sync # the checksum says that the runtime is whole, also after a power cut
        echo "$2" > "$new/wheel.sha256"
    fi
    "$new/bin/edgetl-device" --version >&2
    echo "$new"
}

# again NAME: the bundle that is there already, as if it had been sent → its file.
again() {
    cp -p "$home/bundle.edgetl" "$home/$1"
    echo "$home/$1"
}

point() {
    rm -f "$lib/.current" && ln -s "$1" "$lib/.current" && mv -T "$lib/.current" "$lib/current" && sync
}

# back FILE: the bundle that was kept is the one in use again.
back() {
    [ ! -f "$1" ] || { sync && mv "$1" "$home/bundle.edgetl" && sync; }
}

restart() {
    systemctl restart edgetl >/dev/null 2>&1 || sudo -n systemctl restart edgetl >/dev/null 2>&1
}

# What deployments left behind that were cut off; the lock says that none runs now.
sweep() {
    for file in "$home"/.incoming-*.edgetl "$home"/.before-*.edgetl "$lib"/*.whl "$lib/.current"; do
        [ "$file" = "$1" ] || rm -f "$file"
    done
    # A runtime that is current takes the bundle that waits for it; what waits for another one came to nothing.
    [ ! -f "$home/.staged.json" ] || "$lib/current/bin/edgetl-device" --home "$home" status >/dev/null 2>&1 || true
    rm -f "$home/.staged.json" "$home/.staged.edgetl"
}

# hold: let no other deployment begin until standard input ends.
hold() {
    mkdir -p "$lib"
    exec 9> "$lib/.deploying"
    ! command -v flock >/dev/null || flock -w 600 9 || fail "another deployment runs there for more than ten minutes"
    echo held
    cat > /dev/null
}

# switch BUNDLE RUNTIME PROGRAM OPTION…: install BUNDLE with PROGRAM (which checks it here), make RUNTIME current ("":
# leave it), restart the service if it runs. If anything fails, bundle and runtime are the old ones.
switch() {
    incoming=$1 wanted=$2 program=$3
    shift 3
    sweep "$incoming"
    before="$home/.before-$$.edgetl"
    trap 'rm -f "$before" "$incoming" "$home/.incoming.pub"' EXIT
    [ ! -f "$home/bundle.edgetl" ] || cp -p "$home/bundle.edgetl" "$before"
    link=$(readlink "$lib/current" 2>/dev/null || true)
    if [ -n "$wanted" ]; then # the link is the one step: with it the new runtime takes over the bundle that waits for it
        "$program" --home "$home" install "$incoming" --stage "$lib/current" "$@" >&2
        point "$wanted"
    fi
    "$program" --home "$home" install "$incoming" --json "$@" || {
        [ -z "$wanted" ] || [ -z "$link" ] || point "$link"
        [ -z "$wanted" ] || rm -f "$home/.staged.json" "$home/.staged.edgetl"
        [ -z "$wanted" ] || back "$before"
        exit 1
    }
    if systemctl is-active --quiet edgetl 2>/dev/null; then
        if ! { restart && sleep 2 && systemctl is-active --quiet edgetl; }; then
            back "$before"
            [ -z "$wanted" ] || [ -z "$link" ] || point "$link"
            restart || true
            fail "the service did not start with it, so the old bundle is back: journalctl -u edgetl tells why"
        fi
    fi
    [ -n "$wanted" ] || return 0
    mkdir -p "$HOME/.local/bin"
    [ -e "$HOME/.local/bin/edgetl-device" ] || ln -sf "$lib/current/bin/edgetl-device" "$HOME/.local/bin/edgetl-device"
    for old in "$lib"/runtime-*; do
        [ "$old" = "$wanted" ] || [ "$old" = "$link" ] ||
            grep -qs "$old/" /etc/systemd/system/edgetl.service || rm -rf "$old"
    done
}

# statistics PROGRAM OPTION…: what was learned, on standard output.
statistics() {
    program=$1
    shift
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$program" --home "$home" export-stats "$folder/statistics" "$@" >&2
    cat "$folder/statistics"
}

"$verb" "$@"
