#!/usr/bin/env python3
"""Floats as F16 and BF16, from NumPy and ml_dtypes: tests/golden/make_halves.py tests/golden/halves.safetensors
Needs numpy, ml_dtypes and safetensors.

float [n] F32: edges of both types, their neighbours, ties, and random bits; f16 [n] and bf16 [n]: the same numbers, narrowed; f16-float
[n] and bf16-float [n] F32: these read back.
"""
import sys

import ml_dtypes
import numpy
from safetensors.numpy import save_file

edges = [0.0, 2.0**-26, 2.0**-25, 2.0**-24, 1.5 * 2.0**-24, 2.5 * 2.0**-24, 1023.5 * 2.0**-24, 2.0**-14, 1 + 2.0**-11, 1 + 3 * 2.0**-11]
edges += [1 / 3, 0.1, 1.0, 2049.0, 2051.0, 65504.0, 65519.0, 65520.0, 1e10, numpy.inf, numpy.nan]
edges += [1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-126, 2.0**-133, 2.0**-134, 2.0**-149, 3 * 2.0**-134, 3.3895314e38, 3.3961775e38, 3.4028235e38]
edges = numpy.array(edges, numpy.float32)
with numpy.errstate(over="ignore"):
    near = numpy.concatenate([edges, numpy.nextafter(edges, numpy.float32(numpy.inf)), numpy.nextafter(edges, numpy.float32(0))])
random = numpy.random.default_rng(1)
bits = random.integers(0, 2**32, 500, dtype=numpy.uint32).view(numpy.float32)
in_f16 = numpy.ldexp(random.uniform(-2, 2, 500), random.integers(-27, 17, 500)).astype(numpy.float32)
floats = numpy.concatenate([near, -near, bits, in_f16])
with numpy.errstate(over="ignore", invalid="ignore"):
    f16, bf16 = floats.astype(numpy.float16), floats.astype(ml_dtypes.bfloat16)
tensors = {"float": floats, "f16": f16, "bf16": bf16, "f16-float": f16.astype(numpy.float32), "bf16-float": bf16.astype(numpy.float32)}
save_file(tensors, sys.argv[1])
