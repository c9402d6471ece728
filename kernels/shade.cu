// A program of voxelwise operations of a chain. The rules are in shade.py, the twin.
//
// A thread makes the eight voxels whose normal numbers are those of one draw: sixteen threads share a
// group of 128 voxels, of which a thread's lie sixteen apart. What is computed for one voxel after
// the other is pushed through a row of registers, as arrays in memory would be slow.
//
// Launch: grid (ceil(D * H * W / (8 * threads)), B), threads a multiple of 32. LABEL_TYPE and
// IMAGE_TYPE are unsigned integers of the size of the arrays' elements. Sizes are those of one volume.
#include "field.cuh"
#include "gaussian.cuh"
#include "philox.cuh"
#include "shading.cuh"
#include "waves.cuh"

typedef long long Int;

#define RUN 8  // voxels of a thread

// A statement for each voxel of a thread.
#define EACH(...)                                                        \
    {                                                                    \
        _Pragma("unroll") for (int j = 0; j < RUN; ++j)                  \
        {                                                                \
            const Int voxel = first_voxel + 16 * j;                      \
            if (voxel < voxels) {                                        \
                __VA_ARGS__;                                             \
            }                                                            \
        }                                                                \
    }

// A value as an element of the image.
__device__ __forceinline__ unsigned int image_bits(float v)
{
    return sizeof(IMAGE_TYPE) == 1 ? byte_of(v) : sizeof(IMAGE_TYPE) == 2 ? half_of(v) : single_of(v);
}

// Drops the first of a row and appends a value.
__device__ __forceinline__ void push(float (&row)[RUN], float value)
{
#pragma unroll
    for (int j = 0; j + 1 < RUN; ++j)
        row[j] = row[j + 1];
    row[RUN - 1] = value;
}

// The normal numbers of a thread's voxels.
__device__ __forceinline__ void lay_normals(float (&out)[RUN], unsigned long long seed,
                                            unsigned long long index, Int draw)
{
    const Words words = random_words(seed, index, STREAM_CHAIN, (unsigned long long)draw);
    const unsigned int word[RUN / 2] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int w = 0; w < RUN / 2; ++w) {
        const float2 pair = normal_pair(word[w]);
        out[2 * w] = pair.x;
        out[2 * w + 1] = pair.y;
    }
}

// How many fields an operation reads.
__device__ __forceinline__ int fields_of(int op, const float* setting, const float* drawn)
{
    if (op == SHADE_OP_TEXTURE)
        return (int)setting[STEP_SETTING_COUNT];
    if (op == SHADE_OP_BIAS)
        return 1;
    return op == SHADE_OP_NOISE && drawn[STEP_Q] == (float)NOISE_MODEL_SPECKLE ? 2 : 0;
}

extern "C" __global__ void shade(
    const int* __restrict__ program,            // (P, 2)
    const float* __restrict__ settings,         // (S, STEP_SETTING_SIZE)
    const float* __restrict__ drawn,            // (B, S, STEP_SIZE)
    const float* __restrict__ tones,            // (B, T, L, TONE_SIZE)
    const int* __restrict__ fields,             // (F, FIELD_ROW_SIZE)
    const int* __restrict__ field_starts,
    const float* __restrict__ field_weights,
    const float* __restrict__ nodes,            // (B, nodes_size)
    const float* __restrict__ waves,            // (B, waves_size)
    const unsigned char* __restrict__ grey,     // (B, grey_size)
    const LABEL_TYPE* __restrict__ label,       // (B, label_size)
    const unsigned char* __restrict__ distance, // (B, distance_size)
    float* canvas,                              // (B, canvas_size), in and out
    int* extremes,                              // (B, S, 2), in and out
    unsigned long long seed,
    const unsigned long long* __restrict__ indices, // (B,)
    int channel,
    IMAGE_TYPE* image,                          // (B, channels, D, H, W), out
    int P, int S, int T, int L, int channels, Int nodes_size, Int waves_size, Int grey_size,
    Int label_size, Int distance_size, Int canvas_size, int D, int H, int W)
{
    const Int b = blockIdx.y, voxels = (Int)D * H * W;
    const Int thread = (Int)blockIdx.x * blockDim.x + threadIdx.x, group = thread >> 4;
    const int lane = (int)(thread & 15);
    const Int first_voxel = NORMALS_GROUP * group + lane;
    const unsigned long long index = indices[b];
    drawn += b * S * STEP_SIZE;
    tones += b * T * L * TONE_SIZE;
    nodes += b * nodes_size;
    waves += b * waves_size;
    grey += b * grey_size;
    label += b * label_size;
    distance += b * distance_size;
    canvas += b * canvas_size;
    extremes += b * S * 2;
    image += (b * channels + channel) * voxels;

    float v[RUN] = {}, first[RUN], second[RUN];
    for (int p = 0; p < P; ++p) {
        const int op = program[2 * p], step = program[2 * p + 1];
        const float* setting = settings + step * STEP_SETTING_SIZE;
        const float* own = drawn + step * STEP_SIZE;
        if (op >= SHADE_OP_EXTREMES && own[STEP_ACTIVE] == 0.0f)
            continue;
        const float one = own[STEP_P], two = own[STEP_Q];
        const float* tone = tones + (Int)setting[STEP_SETTING_TONE] * L * TONE_SIZE;

        // Sums of fields or waves into `first`; but of speckle, the second field into `second`.
        const int count = op == SHADE_OP_WAVES ? 1 : fields_of(op, setting, own);
        const int which = (int)setting[STEP_SETTING_FIRST];
#pragma unroll
        for (int j = 0; j < RUN; ++j)
            first[j] = second[j] = 0.0f;
#pragma unroll 1
        for (int f = 0; f < count; ++f) {
            if (op == SHADE_OP_NOISE)
#pragma unroll
                for (int j = 0; j < RUN; ++j)
                    first[j] = second[j];
#pragma unroll 1
            for (int j = 0; j < RUN; ++j) {
                const Int place = first_voxel + 16 * j;
                const int voxel = (int)(place < voxels ? place : voxels - 1);
                const int line = voxel / W, x = voxel - line * W;
                const int z = line / H, y = line - z * H;
                if (op == SHADE_OP_WAVES)
                    push(second, waves_at(waves, which, (int)setting[STEP_SETTING_COUNT], D, H, W, z,
                                          y, x));
                else
                    push(second, field_at(fields + (which + f) * FIELD_ROW_SIZE, field_starts,
                                          field_weights, nodes, D, H, z, y, x));
            }
            if (op == SHADE_OP_TEXTURE || op == SHADE_OP_WAVES)
#pragma unroll
                for (int j = 0; j < RUN; ++j) {
                    const Int voxel = first_voxel + 16 * j;
                    const int value = voxel < voxels ? label[voxel] : 0;
                    first[j] = fused(tone[value * TONE_SIZE + TONE_AMPLITUDE + f], second[j], first[j]);
                }
        }

        // Normal numbers, those of rician noise's second part into `second`.
        const bool rice = op == SHADE_OP_NOISE && two == (float)NOISE_MODEL_RICIAN;
        const bool noisy = op == SHADE_OP_INTENSITY || (op == SHADE_OP_NOISE && count == 0);
#pragma unroll 1
        for (int part = 0; part < noisy + rice; ++part) {
            if (part > 0)
#pragma unroll
                for (int j = 0; j < RUN; ++j)
                    first[j] = second[j];
            lay_normals(second, seed, index,
                        first_draw(channel, step, CHAIN_PART_VOXELS + part) + 16 * group + lane);
        }

        int low = 0x7FFFFFFF, high = -0x7FFFFFFF - 1;
        switch (op) {
        case SHADE_OP_GREY:
            EACH(v[j] = (float)(int)grey[voxel] * (1.0f / 255.0f))
            break;
        case SHADE_OP_LOAD:
            EACH(v[j] = canvas[voxel])
            break;
        case SHADE_OP_STORE:
            EACH(canvas[voxel] = v[j])
            break;
        case SHADE_OP_CAST:
            EACH(image[voxel] = (IMAGE_TYPE)image_bits(v[j]))
            break;
        case SHADE_OP_EXTREMES:
            EACH(const int key = order_key(v[j]); low = key < low ? key : low;
                 high = key > high ? key : high)
            break;
        case SHADE_OP_INTENSITY:
            EACH(const float* row = tone + (int)label[voxel] * TONE_SIZE;
                 v[j] = fused(row[TONE_SD], second[j], row[TONE_MEAN]))
            break;
        case SHADE_OP_OUTLINE:
            EACH(v[j] = outlined(v[j], (float)(int)distance[voxel], two, one))
            break;
        case SHADE_OP_TEXTURE:
        case SHADE_OP_WAVES:
            if (two == 0.0f)
                EACH(v[j] = fused(1.0f, first[j], v[j]))
            else
                EACH(v[j] = fused(inner_weight((float)(int)distance[voxel], one, two), first[j], v[j]))
            break;
        case SHADE_OP_BIAS:
            EACH(v[j] = biased(v[j], one, second[j]))
            break;
        case SHADE_OP_GAMMA:
            EACH(v[j] = with_gamma(v[j], one))
            break;
        case SHADE_OP_NOISE:
            if (two == (float)NOISE_MODEL_SPECKLE)
                EACH(v[j] = speckled(v[j], one, first[j], second[j]))
            else if (rice)
                EACH(v[j] = rician(v[j], one, first[j], second[j]))
            else
                EACH(v[j] = fused(one, second[j], v[j]))
            break;
        case SHADE_OP_CLIP:
            EACH(v[j] = clamped(v[j], one, two))
            break;
        default: {
            const float lowest = of_order_key(extremes[2 * step]);
            const float span = of_order_key(extremes[2 * step + 1]) - lowest;
            const float per = span > 0x1p-100f ? 1.0f / span : 0.0f;
            EACH(v[j] = normalized(v[j], lowest, per))
        }
        }
        if (op == SHADE_OP_EXTREMES) {
#pragma unroll
            for (int away = 16; away > 0; away >>= 1) {
                const int low_there = __shfl_xor_sync(0xFFFFFFFFu, low, away);
                const int high_there = __shfl_xor_sync(0xFFFFFFFFu, high, away);
                low = low_there < low ? low_there : low;
                high = high_there > high ? high_there : high;
            }
            if ((threadIdx.x & 31) == 0) {
                atomicMin(extremes + 2 * step, low);
                atomicMax(extremes + 2 * step + 1, high);
            }
        }
    }
}
