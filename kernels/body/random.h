/* random.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
 *
 * This is the specification, which kernels/ref follows on its own:
 *
 * Element e of the picture with index i uses the counter
 *     { e/4 low 32 bits, step low 32 bits, i low 32 bits, purpose << 24 ^ i high 32 bits ^ step high 32 bits }
 * under the key { seed low, seed high }, and of the four words that this gives, word e % 4.
 *
 * Uniform in (0,1): U = (word + 0.5) / 2^32.
 *
 * Normal, Box-Muller on the pairs of uniforms (u0, u1) of words (w0, w1) and (w2, w3): r = sqrt(-2 ln u0),
 * n0 = r cos(2 pi u1), n1 = r sin(2 pi u1).
 *
 * Dequantization noise of one pixel: the fine field is [2H,2W,C] (at the base [H,W,C]) and its element
 * e = (row * width + column) * C + c. The noise of element e is
 *     uniforms == 1         U of element e
 *     4 <= uniforms <= 64   the mean of U over elements e * uniforms .. e * uniforms + uniforms - 1
 *     uniforms > 64         0.5 + sqrt(1 / (12 * uniforms)) * (normal of element e) */
#ifndef WF_BODY_RANDOM_H
#define WF_BODY_RANDOM_H

#include "../../lib/philox.h"
#include "body.h"

/* Standard deviation of the mean of so many uniforms. */
WF_BODY double wf_noise_deviation(int64_t uniforms)
{
    return sqrt(1.0 / (12.0 * (double)uniforms));
}

/* Mean of `uniforms` uniforms whose words add up to `sum`. */
WF_BODY double wf_noise_mean(uint64_t sum, int64_t uniforms)
{
    return ((double)sum / (double)uniforms + 0.5) * (1.0 / 4294967296.0);
}

#endif
