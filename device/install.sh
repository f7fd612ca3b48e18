#!/bin/sh
# Installs edgetl-device on Raspberry Pi OS (Bookworm or Trixie) or any other Debian, for the user who runs it:
#
#     sh install.sh                         the newest release, from the package index
#     sh install.sh --bundle pets.edgetl    and make this the first bundle
#     sh install.sh --service               and run the camera from now on, also after a restart (asks for sudo)
#     sh install.sh --wheel FILE.whl        this wheel; in a checkout of the project its own code is the default
#     sh install.sh --uninstall             remove program and service; what was learned stays in ~/.local/share/edgetl
#
# A virtual environment ~/.local/lib/edgetl/runtime-NAME that sees the system's packages (picamera2 comes by apt and not
# by pip), `current` beside it as a link, and the command in ~/.local/bin. Wheels only: nothing is compiled. Run it
# again to update. `edgetl deploy` from a workstation uses the same places.
set -eu

lib="$HOME/.local/lib/edgetl"
command="$HOME/.local/bin/edgetl-device"
bundle='' service=no wheel='' uninstall=no

fail() {
    echo "error: $1" >&2
    exit "${2:-1}"
}

while [ $# -gt 0 ]; do
    case $1 in
        --bundle | --wheel) [ $# -ge 2 ] || fail "$1 needs a file" 2 ;;
    esac
    case $1 in
        --bundle) bundle=$2 && shift ;;
        --wheel) wheel=$2 && shift ;;
        --service) service=yes ;;
        --uninstall) uninstall=yes ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) fail "unknown option $1: --help lists them" 2 ;;
    esac
    shift
done
for file in "$bundle" "$wheel"; do
    [ -z "$file" ] || [ -f "$file" ] || fail "no such file: $file" 2
done

if [ "$uninstall" = yes ]; then
    if [ -e /etc/systemd/system/edgetl.service ]; then
        sudo "$lib/current/bin/edgetl-device" service --uninstall
    fi
    [ "$(readlink "$command" 2>/dev/null || true)" != "$lib/current/bin/edgetl-device" ] || rm "$command"
    rm -rf "$lib"
    echo "removed; what was learned is still in ${EDGETL_HOME:-$HOME/.local/share/edgetl}"
    exit 0
fi

[ "$(id -u)" != 0 ] || [ -n "${EDGETL_AS_ROOT:-}" ] || fail "run it as the user who will own the camera, without sudo" 2
python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
    fail "needs Python 3.10 to 3.13, this is $(python3 --version 2>&1 || true): use Raspberry Pi OS Bookworm or Trixie"
python3 -c 'import ensurepip, venv' 2>/dev/null || sudo apt-get install -y python3-venv

extras=sign
[ "$(uname -m)" != armv7l ] || extras=sign,tflite # ai-edge-litert has no 32-bit wheels
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "$wheel" ]; then
    what=$(cd "$(dirname "$wheel")" && pwd)/$(basename "$wheel")
elif [ -f "$here/pyproject.toml" ]; then
    what=$here
else
    what=edgetl-device
fi

new="$lib/runtime-$(date +%Y%m%d-%H%M%S)"
old=$(readlink "$lib/current" 2>/dev/null || true)
mkdir -p "$lib" "$(dirname "$command")"
trap 'rm -rf "$new"' EXIT # until it is whole
echo "installing into $new"
python3 -m venv --system-site-packages "$new"
"$new/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: "$what[$extras]" ||
    fail "pip could not install it: see above"
"$new/bin/edgetl-device" --version
trap - EXIT
rm -f "$lib/.current"
ln -s "$new" "$lib/.current"
mv -T "$lib/.current" "$lib/current"
ln -sf "$lib/current/bin/edgetl-device" "$command"
if systemctl cat edgetl.service >/dev/null 2>&1; then # if it runs, then in the old runtime, which goes now
    sudo systemctl try-restart edgetl.service || echo "the service does not start: see journalctl -u edgetl" >&2
fi
[ -z "$old" ] || [ "$old" = "$new" ] || rm -rf "$old"

[ -z "$bundle" ] || "$command" install "$bundle"
"$command" doctor || fail "something needed is broken: see the fixes above"
[ "$service" = yes ] || echo "next: edgetl-device run"
[ "$service" = no ] || sudo "$lib/current/bin/edgetl-device" service --install
case ":$PATH:" in
    *":$HOME/.local/bin:"*) ;;
    *) echo "log in again, so that ~/.local/bin is on your PATH" ;;
esac
