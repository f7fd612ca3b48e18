#!/usr/bin/env bash
# install.sh as a newcomer runs it, on Debian 12 and 13: what Raspberry Pi OS Bookworm and Trixie are made of. Their own
# Python and pip, an unprivileged user, wheels from the package index. Where systemd can be booted, the service too: it
# is started, killed, frozen until its watchdog notices, and removed.
# For this machine's architecture: what differs between releases is Python, pip and systemd, not the processor.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "make test-install: skipped: $1"
    exit 0
}
[ "$(id -u)" = 0 ] || skip "needs root"
command -v mmdebstrap >/dev/null || skip "needs Debian's mmdebstrap (apt install mmdebstrap)"
mirror() { apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' | awk '$2 == "Debian" && $3 == "Debian" {print $1; exit}'; }
[ -n "$(mirror)" ] || apt-get -qq update || true
[ -n "$(mirror)" ] || skip "apt knows no Debian mirror"

# What is mounted below is gone with this process, whatever ends it.
[ -n "${EDGETL_OWN_MOUNTS:-}" ] || EDGETL_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0"
work=$PWD/build/releases
step() { echo "--- $1 ($SECONDS s)"; }

rm -rf "$work"
mkdir -p "$work/given"
.venv/bin/python -c 'import sys; from pathlib import Path; from edgetl.deployment.wheel import device_wheel
name, data = device_wheel(); Path(sys.argv[1], name).write_bytes(data)' "$work/given"
.venv/bin/edgetl parts "$work/given/photos" --per-class 12 --classes bolt,gear,nut --size 200 --seed 3
.venv/bin/edgetl train "$work/given/photos" -o "$work/run" --weights builtin
.venv/bin/edgetl convert "$work/run" -o "$work/given/parts.edgetl" --max-drop 1
cp device/install.sh tests/pi/service.sh tests/pi/newcomer.sh "$work/given/"

for release in bookworm trixie; do
    root=$work/$release
    step "Debian $release"
    # python3-numpy: the system's own, which the environment sees and must not be confused by.
    mmdebstrap -q --aptopt='Acquire::Retries "5"' --variant=apt --mode=root --skip=check/empty \
        --include=systemd-sysv,passwd,procps,sudo,python3,python3-venv,python3-numpy,ca-certificates,curl "$release" "$root" "$(mirror)"
    cp -a "$work/given" "$root/given"
    # How this machine reaches the package index.
    for file in /etc/resolv.conf /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp -L --remove-destination "$file" "$root$file"
    done
    env | grep -E '^(PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|PIP_CERT|[a-z]*_proxy|[A-Z]*_PROXY)=' > "$root/etc/environment" || true
    chroot "$root" useradd --create-home --shell /bin/bash pi
    echo 'pi ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/pi"
    mount -t proc proc "$root/proc"
    step "install.sh there"
    chroot "$root" su - pi -c 'set -a; . /etc/environment; sh /given/newcomer.sh'
    umount "$root/proc"
    if command -v systemd-nspawn >/dev/null; then
        step "the service under systemd"
        printf '[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/bin/sh /given/service.sh\nStandardOutput=append:/said\nStandardError=append:/said\nExecStopPost=systemctl poweroff\n[Install]\nWantedBy=multi-user.target\n' \
            > "$root/etc/systemd/system/proof.service"
        ln -s ../proof.service "$root/etc/systemd/system/multi-user.target.wants/proof.service"
        timeout 240 systemd-nspawn -q --register=no --keep-unit -D "$root" --boot > "$work/$release.boot" 2>&1 < /dev/null || true
        if [ ! -e "$root/said" ]; then
            echo "systemd cannot be booted here, so the service was not tried: $(tail -1 "$work/$release.boot")"
        else
            cat "$root/said"
            grep -q '^the service is as it should be$' "$root/said" || exit 1
        fi
    else
        echo "the service was not tried: needs systemd-nspawn (apt install systemd-container)"
    fi
done
step "all as it should be"
