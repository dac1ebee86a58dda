#!/usr/bin/env bash
# ArviZ 1.3.0 (PyPI, arviz-stats 1.3.3): which quantiles "tail" effective sample size means.
#
# Guess: ess(method="tail") is the smaller of the effective sample sizes of the 5% and 95% quantiles, as in the paper (Vehtari et al.
# 2021), in Stan, in the R package posterior and in ArviZ 0.23.
# Seen: its quantiles are the ends of the interval that rcParams["stats.ci_prob"] sets, 0.89 since ArviZ 1: 5.5% and 94.5%. The same
# draws give another number in ArviZ 0.23.4, or after ci_prob is set to 0.9.
# So a tail size from ArviZ 1 is compared with ours only under prob=(0.05, 0.95). Also, from_cmdstan is gone in ArviZ 1.
#
# Needs Python 3.12 or later: PYTHON names one. Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv new && new/bin/pip install -q arviz==1.3.0 arviz-base==1.3.1 arviz-stats==1.3.3
"${PYTHON:-python3}" -m venv old && old/bin/pip install -q arviz==0.23.4
cat > tail.py <<'END'
import arviz, numpy as np
x = np.random.default_rng(1).normal(size=(4, 200)).cumsum(1)
x = arviz.convert_to_dataset({"x": x - 0.9 * np.roll(x, 1, 1)})
size = lambda **more: float(arviz.ess(x, method="tail", **more)["x"])
print("%.6f %.6f %s" % (size(), size(prob=(0.05, 0.95)), hasattr(arviz, "from_cmdstan")))
END
read -r old paper old_cmdstan < <(old/bin/python -W ignore tail.py)
read -r new same new_cmdstan < <(new/bin/python -W ignore tail.py)
echo "tail size: $old in 0.23.4, $new in 1.3.0; at 5% and 95%: $paper, $same; from_cmdstan: $old_cmdstan, $new_cmdstan"
[ "$old" = "$paper" ] && [ "$same" = "$paper" ] && [ "$new" != "$paper" ] && [ "$old_cmdstan $new_cmdstan" = "True False" ]
