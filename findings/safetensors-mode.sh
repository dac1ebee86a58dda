#!/usr/bin/env bash
# safetensors 0.8.0 (PyPI, with NumPy 2.2.6): the permissions of a file that save_file writes.
#
# Guess: as with open(), a new file gets 0666 less the umask; under umask 022 everyone may read it, 644.
# Seen: 0.5.3 writes 644, but 0.8.0 writes 600 whatever the umask, also over a file that was 644.
# So a model that Python saves in a shared folder is for its owner alone until chmod, and packages must set modes themselves.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 022
# mode VERSION: the modes of a new file and of one that was there, written by this version
mode() {
    python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --target "$1" "safetensors==$1" numpy==2.2.6
    : > "there-$1"
    for file in "new-$1" "there-$1"; do
        PYTHONPATH=$1 python3 -c 'import numpy, safetensors.numpy as s, sys; s.save_file({"x": numpy.zeros(2)}, sys.argv[1])' "$file"
        stat -c %a "$file"
    done | paste -sd ' '
}
old=$(mode 0.5.3)
new=$(mode 0.8.0)
echo "modes of a new file and of one that was 644: safetensors 0.5.3: $old; 0.8.0: $new"
[ "$old, $new" = "644 644, 600 600" ]
