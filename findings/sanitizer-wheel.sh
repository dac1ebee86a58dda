#!/usr/bin/env bash
# compute-sanitizer 2025.3.1 and 2026.4.0 (PyPI, nvidia-cuda-sanitizer-api 13.0.85 and 13.5.25): does it start a program?
#
# Guess: the package has what the tool needs, so `compute-sanitizer PROGRAM` starts PROGRAM, with a card or without.
# Seen: the package of CUDA 13.0 lacks TreeLauncherSubreaper, which the tool starts in place of the program, from its own folder. So
# it starts nothing, anywhere. It prints "Target application terminated before first instrumented API call", as it does of a program
# that uses no CUDA. A script of that name in its folder is started, with the program as its last argument; the libraries that should
# be loaded into the program are missing there, too. The package of CUDA 13.5 has them all in one folder.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 13.0.85 13.5.25; do
    python3 -m pip --disable-pip-version-check download -q --no-deps -d "$version" nvidia-cuda-sanitizer-api==$version
    python3 -m zipfile -e "$version"/*.whl "$version"
    find "$version" -type f ! -name '*.*' -exec chmod +x {} +
done
old=13.0.85/nvidia/cu13/bin
said() { timeout 60 "$old/compute-sanitizer" --tool memcheck "$(command -v touch)" started 2>&1 || true; }

found=$(find 13.0.85 13.5.25 -path '*x86' -prune -o -name TreeLauncherSubreaper -print)
echo "in the packages: $found"
first=$(said)
echo "$first"
ran=$(ls started 2> /dev/null || echo no)
printf '#!/bin/sh\necho "started for: $*"\n' > "$old/TreeLauncherSubreaper"
chmod +x "$old/TreeLauncherSubreaper"
second=$(said)
echo "$second"
[ "$found" = 13.5.25/nvidia/cu13/compute-sanitizer/TreeLauncherSubreaper ] && [ "$ran" = no ] &&
    [[ $second == *'bin/libTreeLauncherTargetInjection.so'*'cannot be preloaded'* ]] &&
    [[ $first == *'terminated before first instrumented API call'* && $first != *'started for'* && $second == *'started for: '*touch* ]]
