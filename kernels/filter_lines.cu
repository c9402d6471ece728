// Smoothing and resampling along lines of voxels: one axis a launch, in place. A block has a tile of
// whole lines in shared memory; the rules are in filter_lines.py, the twin.
#include "real.cuh"

typedef long long Int;

constexpr float TINY = 0x1p-60f;
constexpr int PAD = 2;   // voxels beyond a filter's radius that samples may ask for
constexpr int EACH = 4;  // voxels that a thread smooths at once

extern "C" __global__ void filter_lines(
    int number,                         // of the filter
    int axis,                           // 0: z, 1: y, 2: x
    int lines,                          // of a block; a power of two up to 32 along z and y
    const float* __restrict__ filters,  // (B, F, 3, FILTER_LINE_SIZE)
    const int* __restrict__ steps,      // (F, FILTER_STEPS_SIZE)
    const float* __restrict__ weights,  // (B, N)
    float* __restrict__ canvas,         // (B, C)
    int F, Int N, Int C, int D, int H, int W)
{
    extern __shared__ float tile[];

    const float* line =
        filters + (((Int)blockIdx.y * F + number) * 3 + axis) * FILTER_LINE_SIZE;
    const int radius = (int)line[FILTER_LINE_RADIUS], samples = (int)line[FILTER_LINE_SAMPLES];
    if (radius == 0)
        return;
    weights += blockIdx.y * N + steps[number * FILTER_STEPS_SIZE + FILTER_STEPS_WEIGHTS + axis];
    canvas += blockIdx.y * C;

    // Voxel i of line c is `i * voxel + c * next` on, in the tile `(i + pad) * own + c * beside`.
    const int pad = radius + PAD, side = axis == 0 ? D : axis == 1 ? H : W;
    const Int voxel = axis == 0 ? (Int)H * W : axis == 1 ? W : 1, next = axis == 2 ? W : 1;
    const int own = axis == 2 ? 1 : lines, beside = axis == 2 ? side + 2 * pad : 1;
    int count;  // lines
    if (axis == 2) {
        const Int first = (Int)blockIdx.x * lines, rows = (Int)D * H;
        canvas += first * W;
        count = (int)min((Int)lines, rows - first);
    } else {
        const int parts = (W + lines - 1) / lines;
        const int first = (int)(blockIdx.x % parts) * lines;
        canvas += (Int)(blockIdx.x / parts) * (axis == 1 ? (Int)H * W : (Int)W) + first;
        count = min(lines, W - first);
    }
    const int group = axis == 2 ? 32 : lines, thread = threadIdx.x;
    const int low = thread % group, high = thread / group, step = blockDim.x / group;
    const int c0 = axis == 2 ? high : low, c_step = axis == 2 ? step : group;
    const int i0 = axis == 2 ? low : high, i_step = axis == 2 ? group : step;

#pragma unroll 1
    for (int c = c0; c < count; c += c_step)
        for (int i = i0 - pad; i < side + pad; i += i_step)
            tile[(i + pad) * own + c * beside] = canvas[min(max(i, 0), side - 1) * voxel + c * next];
    __syncthreads();

    if (samples == 0) {
#pragma unroll 1
        for (int c = c0; c < count; c += c_step)
            for (int i = i0; i < side; i += EACH * i_step) {
                const float* at[EACH];
                float total[EACH];
#pragma unroll
                for (int e = 0; e < EACH; ++e) {
                    at[e] = tile + (min(i + e * i_step, side - 1) + pad) * own + c * beside;
                    total[e] = fused(weights[0], *at[e], TINY);
                }
                for (int k = 1; k <= radius; ++k) {
                    const float weight = weights[k];
#pragma unroll
                    for (int e = 0; e < EACH; ++e)
                        total[e] = fused(weight, at[e][-k * own] + at[e][k * own], total[e]);
                }
#pragma unroll
                for (int e = 0; e < EACH; ++e)
                    if (i + e * i_step < side)
                        canvas[(i + e * i_step) * voxel + c * next] = total[e] - TINY;
            }
        return;
    }

    const float origin = line[FILTER_LINE_FIRST], spacing = line[FILTER_LINE_SPACING];
    const float rate = line[FILTER_LINE_RATE], last = (float)(samples - 1);
    const int stride = (samples + 15) & ~15;
    float* sampled = tile + lines * (side + 2 * pad);
    const int sampled_beside = axis == 2 ? samples : 1;
#pragma unroll 1
    for (int c = c0; c < count; c += c_step)
        for (int j = i0; j < samples; j += i_step) {
            const int below = (int)floor_of(fused((float)j, spacing, origin));
            const float* at = tile + (pad + below - radius) * own + c * beside;
            const float* weight = weights + j;
            float total = TINY;
            for (int t = 0; t < 2 * radius + 2; ++t)
                total = fused(weight[t * stride], at[t * own], total);
            sampled[j * own + c * sampled_beside] = total - TINY;
        }
    __syncthreads();
#pragma unroll 1
    for (int c = c0; c < count; c += c_step)
        for (int i = i0; i < side; i += i_step) {
            const float place = clamped(((float)i - origin) * rate, 0.0f, last);
            const float below = floor_of(place);
            const int near = (int)below, far = min(near + 1, samples - 1);
            const float a = sampled[near * own + c * sampled_beside];
            const float b = sampled[far * own + c * sampled_beside];
            canvas[i * voxel + c * next] = fused(place - below, b - a, a);
        }
}
