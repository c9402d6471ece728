// Contours of star-shaped masks; their rule is in mask_records.py, the twin is masks.py.
#pragma once
#include "real.cuh"

struct Chord { float middle, half; };

// 1 + sum_k a_k cos(k t + f_k) for c = cos t, s = sin t: Horner's rule for the complex polynomial of
// e^it with the coefficients a_k e^(i f_k).
REAL_FUNCTION float contour_factor(const float* section, float c, float s)
{
    const float* w = section + MASK_SECTION_WAVE + 2 * (CONTOUR_WAVES - 1);
    float re = fused(w[0], c, fused(-w[1], s, w[-2]));
    float im = fused(w[0], s, fused(w[1], c, w[-1]));
#pragma unroll
    for (int i = 0; i < CONTOUR_WAVES - 2; ++i) {
        const float* next = w - 4 - 2 * i;
        const float real = fused(re, c, fused(-im, s, next[0]));
        im = fused(re, s, fused(im, c, next[1]));
        re = real;
    }
    return 1.0f + fused(re, fused(c, c, -(s * s)), -(im * ((c + c) * s)));
}

// How far the contour is from the centre in the direction of the unit vector (dy, dx).
REAL_FUNCTION float contour_at(const float* section, float dy, float dx)
{
    const float u = fused(section[MASK_SECTION_U_X], dx, section[MASK_SECTION_U_Y] * dy);
    const float v = fused(section[MASK_SECTION_V_X], dx, section[MASK_SECTION_V_Y] * dy);
    const float per = 1.0f / length(u, v);
    return most(section[MASK_SECTION_RADIUS], 0.0f) * contour_factor(section, u * per, v * per) * per;
}

// What of a row, dy from the centre, may be within reach of it: from the centre along x.
REAL_FUNCTION Chord half_chord(const float* section, float reach, float dy)
{
    const float ux = section[MASK_SECTION_U_X], uy = section[MASK_SECTION_U_Y];
    const float vx = section[MASK_SECTION_V_X], vy = section[MASK_SECTION_V_Y];
    const float square = fused(ux, ux, vx * vx);
    const float left = fused(square, reach * reach, -(dy * dy));
    return Chord{-(fused(ux, uy, vx * vy) * dy) / square, root(most(left, SQUARE_BIAS)) / square};
}

// Rows above and below the centre that may be within reach.
REAL_FUNCTION float half_height(const float* section, float reach)
{
    const float ux = section[MASK_SECTION_U_X], vx = section[MASK_SECTION_V_X];
    return reach * root(fused(ux, ux, vx * vx));
}

// Columns beside the centre that may be within reach.
REAL_FUNCTION float half_width(const float* section, float reach)
{
    const float uy = section[MASK_SECTION_U_Y], vy = section[MASK_SECTION_V_Y];
    return reach * root(fused(uy, uy, vy * vy));
}
