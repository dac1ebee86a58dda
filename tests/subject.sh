#!/usr/bin/env bash
# subject.sh < MESSAGE - the rule for subjects of commits, on standard input, one a line until an empty one: at most 72 characters, an
# area first, no full stop at the end. Prints what breaks it and exits 1.
set -u
export LC_ALL=C.UTF-8 # counts characters
rc=0
while IFS= read -r subject && [ -n "$subject" ]; do
    why=
    [ ${#subject} -le 72 ] || why="${#subject} characters, at most 72"
    [[ $subject == Merge* || $subject =~ ^[A-Za-z0-9_.,/\ -]+:\  ]] || why="${why:+$why; }no area before a colon"
    [[ $subject != *. ]] || why="${why:+$why; }a full stop"
    [ -z "$why" ] || { echo "$subject: $why" && rc=1; }
done
exit $rc
