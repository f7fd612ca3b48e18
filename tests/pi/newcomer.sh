# What a newcomer does, as an ordinary user with an empty home folder.
set -eu
cd
sh /given/install.sh --wheel /given/*.whl --bundle /given/parts.edgetl > installed.txt 2>&1 || { cat installed.txt; exit 1; }
edgetl="$HOME/.local/bin/edgetl-device"
"$edgetl" --version
for kind in bolt gear nut; do
    photo=$(ls /given/photos/$kind/* | head -1)
    "$edgetl" classify "$photo" --json > label.json
    grep -q "\"label\": \"$kind\"" label.json || { echo "$photo is not called a $kind:"; cat label.json; exit 1; }
done
"$edgetl" doctor
"$edgetl" learn bolt "$(ls /given/photos/bolt/* | tail -1)" > /dev/null
# The system's NumPy is there for the system's packages, the environment's own for us.
/usr/bin/python3 -c 'import numpy; print("the system has NumPy", numpy.__version__)'
"$HOME/.local/lib/edgetl/current/bin/python" -c 'import numpy; print("the environment has NumPy", numpy.__version__)'
du -sh --apparent-size "$HOME/.local/lib/edgetl/current/" | sed 's/\t.*/ installed/'

# Again, to update; then away with it, but not with what was learned.
sh /given/install.sh --wheel /given/*.whl > updated.txt 2>&1 || { cat updated.txt; exit 1; }
[ "$(ls -d "$HOME"/.local/lib/edgetl/runtime-* | wc -l)" = 1 ]
"$edgetl" samples --json | grep -q '"label": "bolt"'
sh /given/install.sh --uninstall
[ ! -e "$edgetl" ] && [ ! -e "$HOME/.local/lib/edgetl" ] && [ -e "$HOME/.local/share/edgetl/device.sqlite" ]
sh /given/install.sh --wheel /given/*.whl > again.txt 2>&1 || { cat again.txt; exit 1; }
"$edgetl" samples --json | grep -q '"label": "bolt"'
