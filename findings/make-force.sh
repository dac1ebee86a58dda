#!/usr/bin/env bash
# GNU Make 4.3 (Debian 12, make 4.3-4.1; 4.4.1 of Debian 13 does the same): FORCE under .SECONDARY.
#
# Guess: a target that depends on FORCE, a target without prerequisites, recipe and file, is made on every run. The manual says
# so in "Rules without Recipes or Prerequisites".
# Seen: with .SECONDARY without prerequisites, which keeps every intermediate file, FORCE is such a file too. It may be absent,
# and the target is not made: "Nothing to be done". .PHONY: FORCE brings the rule back.
# So a version or a time stamp that is written "on every run" stays as it was at first.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq make=4.3-4.1
dpkg -x make_*.deb root
printf 'out: FORCE\n\t@echo made\nFORCE:\n' > plain.mk
{ cat plain.mk && echo .SECONDARY:; } > secondary.mk
{ cat secondary.mk && echo .PHONY: FORCE; } > phony.mk
touch out
seen=
for file in plain secondary phony; do
    if root/usr/bin/make -f $file.mk | grep -qx made; then
        seen+="$file: made. "
    else
        seen+="$file: not made. "
    fi
done
echo "$seen"
[ "$seen" = "plain: made. secondary: not made. phony: made. " ]
