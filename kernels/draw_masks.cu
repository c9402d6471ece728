// Sections of star-shaped structures into a label map. The rules are in draw_masks.py, the twin.
//
// Launch: a block of THREADS a slice; grid (D, B, 1). Its structures come one after the other, as what
// a structure leaves free is for those after it.
#include "masks.cuh"

typedef long long Int;

#define THREADS 256
constexpr float FAR = 0x1p20f;
constexpr int BEYOND = 2;  // rows and columns to spare for rounding

REAL_FUNCTION int whole_of(float x)
{
    return (int)floor_of(clamped(x, -FAR, FAR));
}

REAL_FUNCTION int first_at(float middle, float half)
{
    return max(whole_of(middle - half) - BEYOND, 0);
}

REAL_FUNCTION int stop_at(float middle, float half, int side)
{
    return min(whole_of(middle + half) + BEYOND, side);
}

REAL_FUNCTION bool in_section(const float* section, float dx, float dy)
{
    const float u = fused(section[MASK_SECTION_U_X], dx, section[MASK_SECTION_U_Y] * dy);
    const float v = fused(section[MASK_SECTION_V_X], dx, section[MASK_SECTION_V_Y] * dy);
    const float away = root(fused(u, u, fused(v, v, SQUARE_BIAS)));
    const float per = 1.0f / away;
    const float factor = contour_factor(section, u * per, v * per);
    return away <= section[MASK_SECTION_RADIUS] * factor && section[MASK_SECTION_LUMEN] * factor < away;
}

extern "C" __global__ void __launch_bounds__(THREADS) draw_masks(
    const float* __restrict__ sections,  // (B, N, D, MASK_SECTION_SIZE)
    Int least_voxels,
    LABEL_TYPE* label,                   // (B, D, H, W), out
    int* placed,                         // (B, N, PLACED_SIZE), in and out: PLACED_ACCEPTED
    int N, int D, int H, int W)
{
    __shared__ float section[MASK_SECTION_SIZE];
    __shared__ int counts[2];  // of this structure and of the next one

    const int z = blockIdx.x, thread = threadIdx.x;
    const Int b = blockIdx.y;
    LABEL_TYPE* plane = label + (b * D + z) * H * W;
    for (int i = thread; i < H * W; i += THREADS)
        plane[i] = 0;
    if (thread < 2)
        counts[thread] = 0;
    __syncthreads();

    int turn = 0;
    for (int n = 0; n < N; ++n) {
        const float* source = sections + ((b * N + n) * D + z) * MASK_SECTION_SIZE;
        const float reach = source[MASK_SECTION_REACH];
        if (reach <= 0.0f)
            continue;
        if (thread < MASK_SECTION_SIZE)
            section[thread] = source[thread];
        __syncthreads();
        const float cy = section[MASK_SECTION_Y], cx = section[MASK_SECTION_X];
        const float high = half_height(section, reach), wide = half_width(section, reach);
        const int top = first_at(cy, high), left = first_at(cx, wide);
        const int rows = stop_at(cy, high, H) - top, columns = stop_at(cx, wide, W) - left;
        const int voxels = rows > 0 && columns > 0 ? rows * columns : 0;
        int found = 0;
        for (int i = thread; i < voxels; i += THREADS) {
            const int y = top + i / columns, x = left + i % columns;
            LABEL_TYPE* own = plane + y * W + x;
            if (*own == 0 && in_section(section, (float)x - cx, (float)y - cy)) {
                *own = (LABEL_TYPE)(n + 1);
                ++found;
            }
        }
        if (found > 0)
            atomicAdd(counts + turn, found);
        __syncthreads();
        const int count = counts[turn];
        if (thread == 0) {
            counts[1 - turn] = 0;
            if (count >= least_voxels)
                atomicOr(placed + (b * N + n) * PLACED_SIZE + PLACED_ACCEPTED, 1);
        }
        if (count > 0 && count < least_voxels)
            for (int i = thread; i < voxels; i += THREADS) {
                LABEL_TYPE* own = plane + (top + i / columns) * W + left + i % columns;
                if (*own == n + 1)
                    *own = 0;
            }
        turn = 1 - turn;
        __syncthreads();
    }
}
