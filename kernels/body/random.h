/* random.h - counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
 *
 * This comment is the specification; kernels/ref implements it independently.
 *
 * Element e of the picture with index i uses the counter
 *     { e/4 low 32 bits, step low 32 bits, i low 32 bits, purpose << 24 ^ i high 32 bits ^ step high 32 bits }
 * under the key { seed low, seed high }, and word e % 4 of the four words that result.
 *
 * Uniform in (0,1): U = (word + 0.5) / 2^32.
 *
 * Normal, Box-Muller on the pairs of uniforms (u0, u1) of words (w0, w1) and (w2, w3): r = sqrt(-2 ln u0), n0 = r cos(2
 * pi u1), n1 = r sin(2 pi u1).
 *
 * Dequantization noise of one pixel, Haar: the fine field is [2H,2W,C] (at the base [H,W,C]) and its element e = (row *
 * width + column) * C + c. The noise of element e is
 *     uniforms == 1         U of element e
 *     2 <= uniforms <= 64   the mean of U over elements e * uniforms .. e * uniforms + uniforms - 1
 *     uniforms > 64         0.5 + sqrt(1 / (12 * uniforms)) * (normal of element e)
 *
 * Other wavelets (taps and details as for `dwt`; elements of every field are numbered as above):
 *     uniforms == 1         at the base as above; else the transform of U of the elements of [2H,2W,C]
 *     uniforms == 4         the low-pass of U of the elements of [2H,2W,C] at the base; else the transform of the
 *                           low-pass of U of the elements of [4H,4W,C]
 *     uniforms >= 16        with s = sqrt(1 / (12 * uniforms)): at the base 0.5 + s * (normal of element e); else, for
 *                           element e of low, 0.5 + s/2 * (normal of element 4e), and for its details
 *                           s * (normals of 4e+1, 4e+2, 4e+3) */
#ifndef WF_BODY_RANDOM_H
#define WF_BODY_RANDOM_H

#include "../../lib/base/philox.h"
#include "body.h"

/* Standard deviation of the mean of `uniforms` uniforms. */
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
