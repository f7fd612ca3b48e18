#!/usr/bin/env bash
# The device's tests on an emulated Raspberry Pi: Debian 12 for arm64, its Python 3.11, real aarch64 wheels, a Cortex-A72.
# What is slow on it is slow because of the emulation: this is about right and wrong, not about speed.
# Skips, with the reason, where such a machine cannot be made.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "make test-pi: skipped: $1"
    exit 0
}
[ "$(uname -m)" = x86_64 ] || skip "this machine is $(uname -m), the emulation is for x86-64"
[ "$(id -u)" = 0 ] || skip "needs root"
command -v mmdebstrap >/dev/null || skip "needs Debian's mmdebstrap (apt install mmdebstrap)"
emulator=$(command -v qemu-aarch64-static) || skip "needs qemu-aarch64-static (apt install qemu-user-static)"
mirror() { apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' | awk '$2 == "Debian" && $3 == "Debian" {print $1; exit}'; }
[ -n "$(mirror)" ] || apt-get -qq update || true
[ -n "$(mirror)" ] || skip "apt knows no Debian mirror"

here=$PWD pi=$PWD/build/pi root=$PWD/build/pi/root python=.venv/bin/python
binfmt=/proc/sys/fs/binfmt_misc name=edgetl-pi-$$ mounted=no server=''
cleanup() {
    [ -z "$server" ] || kill "$server"
    [ ! -e "$binfmt/$name" ] || echo -1 > "$binfmt/$name"
    [ "$mounted" = no ] || umount "$binfmt"
}
trap cleanup EXIT
if [ ! -e $binfmt/register ]; then
    mount -t binfmt_misc binfmt_misc $binfmt 2>/dev/null || skip "the kernel does not let programs of other machines be registered"
    mounted=yes
fi
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
# F: the kernel opens the emulator now, so nothing of it need be inside the root.
echo ":$name:M::$magic:$mask:$emulator:F" > $binfmt/register || skip "binfmt_misc refuses the emulator"

step() { echo "--- $1 ($SECONDS s)"; }

step "a userland of Debian 12 for arm64"
rm -rf "$pi"
mkdir -p "$pi"
# Unpacked only: no maintainer script has to run under emulation.
mmdebstrap -q --aptopt='Acquire::Retries "5"' --architectures=arm64 --variant=extract --mode=root \
    --include=base-files,libc-bin,dash,coreutils,libstdc++6,python3 bookworm "$root" "$(mirror)"
# XNNPACK asks these files what the processor can do, and without them stays out of the way in silence.
for core in 0 1 2 3; do
    printf 'processor\t: %d\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n' $core
    printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
done > "$root/proc/cpuinfo"
mkdir -p "$root/sys/devices/system/cpu"
echo 0-3 | tee "$root/sys/devices/system/cpu/possible" > "$root/sys/devices/system/cpu/present"

step "the wheel of edgetl-device, with aarch64 wheels of what it needs"
wheel=$($python -c 'import sys; from pathlib import Path; from edgetl.deployment.wheel import device_wheel
name, data = device_wheel(); path = Path(sys.argv[1], name); path.write_bytes(data); print(path)' "$pi")
.venv/bin/uv pip install --quiet --python $python --python-version 3.11 --python-platform aarch64-manylinux_2_36 \
    --only-binary :all: -c constraints.txt --target "$root/opt/edgetl" "${wheel}[sign]" pytest hypothesis
mkdir -p "$root/project"
cp -a tests pyproject.toml "$root/project/"

on_pi() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU=cortex-a72 PYTHONPATH=/opt/edgetl \
        PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 chroot "$root" /bin/sh -c "cd /project && $1"
}

step "the device's tests there"
on_pi 'uname -m && python3 -m pytest -p no:cacheprovider -q tests/device/bundle/test_bundle.py tests/device/test_codes.py \
    tests/device/test_preprocess.py tests/device/test_view.py tests/device/inference/test_interpreter.py tests/device/bundle/test_signing.py \
    tests/device/store/test_store.py tests/device/cli/test_device_cli.py -k "not every_size and (not device_cli or story or own)"'

step "killed while it learns"
on_pi 'python3 - <<END
import sys; sys.path.insert(0, "tests")
from conftest import build_bundle
from pathlib import Path
build_bundle(Path("/project/toys.edgetl"))
END
python3 tests/support/crash.py toys.edgetl /tmp/home 10 0 20' | tee "$pi/crash.json"
$python -c 'import json, sys
told = json.load(open(sys.argv[1]))
assert told["problems"] == [] and told["acknowledged"] > 0, told' "$pi/crash.json"

if command -v ssh >/dev/null && sshd=$(PATH="$PATH:/usr/sbin" command -v sshd); then
    step "deployed to over ssh"
    printf '#!/bin/sh\nexec python3 -m edgetl_device "$@"\n' > "$root/usr/bin/edgetl-device"
    chmod +x "$root/usr/bin/edgetl-device"
    ssh=$pi/ssh port=$($python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir -p "$ssh" /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$ssh/user"
    # Who comes in by this server is on the Pi.
    { declare -p root; declare -f on_pi; echo 'cd /; on_pi "$SSH_ORIGINAL_COMMAND"'; } > "$ssh/enter"
    cat > "$ssh/sshd_config" <<END
Port $port
ListenAddress 127.0.0.1
HostKey $ssh/host
AuthorizedKeysFile $ssh/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
ForceCommand /bin/bash $ssh/enter
END
    "$sshd" -D -e -f "$ssh/sshd_config" 2> "$ssh/log" &
    server=$!
    export EDGETL_SSH="ssh -p $port -i $ssh/user -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    cp "$root/project/toys.edgetl" "$pi/toys.edgetl"
    sleep 1
    .venv/bin/edgetl deploy 127.0.0.1 "$pi/toys.edgetl" --no-runtime
    cmp "$pi/toys.edgetl" "$root/root/.local/share/edgetl/bundle.edgetl"
    # From the day it trusts a key it refuses what is not signed, and keeps what it has.
    .venv/bin/edgetl keygen "$ssh/owner" >/dev/null
    .venv/bin/edgetl sign "$pi/toys.edgetl" --key "$ssh/owner.key" -o "$pi/signed.edgetl" >/dev/null
    .venv/bin/edgetl deploy 127.0.0.1 "$pi/signed.edgetl" --no-runtime --public-key "$ssh/owner.pub"
    ! .venv/bin/edgetl deploy 127.0.0.1 "$pi/toys.edgetl" --no-runtime || { echo "an unsigned bundle was taken" >&2; exit 1; }
    cmp "$pi/signed.edgetl" "$root/root/.local/share/edgetl/bundle.edgetl"
fi

step "the same bytes there and here"
.venv/bin/edgetl parts "$pi/photos" --per-class 12 --classes bolt,gear,nut --size 200 --seed 3
.venv/bin/edgetl train "$pi/photos" -o "$pi/run" --weights builtin
.venv/bin/edgetl convert "$pi/run" -o "$pi/parts.edgetl" --max-drop 1
cp -a "$pi/photos" "$pi/parts.edgetl" "$root/project/"
$python tests/pi/fingerprint.py "$pi/parts.edgetl" "$pi/photos" > "$pi/here.json"
on_pi 'python3 tests/pi/fingerprint.py parts.edgetl photos' > "$pi/there.json"
diff "$pi/here.json" "$pi/there.json"
grep -q '"xnnpack": true' "$pi/there.json" || { echo "XNNPACK was not used on the Pi" >&2; exit 1; }
cat "$pi/there.json"

step "the page"
.venv/bin/edgetl parts "$root/project/new" --per-class 6 --classes hinge --size 200 --seed 4
on_pi 'python3 tests/pi/page.py parts.edgetl new hinge'
cd "$here"
step "all as it should be"
