# The service under a real systemd: root's part is sudo's, as install.sh has it.
set -eu
program=/home/pi/.local/lib/edgetl/current/bin/edgetl-device
main() { systemctl show -p MainPID --value edgetl; }
until_true() { # seconds, what, command
    for _ in $(seq "$1"); do
        ! eval "$3" || return 0
        sleep 1
    done
    echo "not within $1 s: $2"
    systemctl status --no-pager edgetl || true
    journalctl --no-pager -u edgetl | tail -20
    exit 1
}

SUDO_USER=pi "$program" service --install --camera /given/photos --loop --web 127.0.0.1:8080
systemctl cat edgetl | grep -q '^ExecStart=/home/pi/.local/lib/edgetl/current/bin/' # so it follows an update
until_true 30 "it is ready" 'systemctl is-active --quiet edgetl'
[ "$(ps -o user= -p "$(main)")" = pi ]
curl -fsS http://127.0.0.1:8080/healthz && echo
first=$(main)
echo "ready; killed"
kill -KILL "$first"
until_true 30 "it is started again after a kill" '[ "$(main)" != 0 ] && [ "$(main)" != "$first" ] && systemctl is-active --quiet edgetl'
second=$(main)
echo "started again; frozen"
kill -STOP "$second"
until_true 60 "the watchdog starts it again" '[ "$(main)" != 0 ] && [ "$(main)" != "$second" ] && systemctl is-active --quiet edgetl'
echo "started again by the watchdog"
SUDO_USER=pi "$program" service --uninstall | tee /tmp/removed
grep -q 'stay in /home/pi/.local/share/edgetl' /tmp/removed
! systemctl is-active --quiet edgetl
[ ! -e /etc/systemd/system/edgetl.service ] && [ -e /home/pi/.local/share/edgetl/device.sqlite ]
echo "the service is as it should be"
