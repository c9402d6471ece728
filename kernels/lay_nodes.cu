// Draws the nodes of random fields. The rules are in lay_nodes.py, the twin.
//
// Launch: grid (G, F, B), any block; a field's draws, each of eight nodes, are shared out among G
// blocks.
#include "gaussian.cuh"
#include "philox.cuh"

typedef long long Int;
typedef unsigned long long Word64;

extern "C" __global__ void lay_nodes(
    const int* __restrict__ fields,      // (F, FIELD_ROW_SIZE)
    const float* __restrict__ settings,  // (S, STEP_SETTING_SIZE)
    const float* __restrict__ drawn,     // (B, S, STEP_SIZE)
    Word64 seed,
    const Word64* __restrict__ indices,  // (B,)
    int channel,
    float* nodes,                        // (B, size), out
    int S, Int size)
{
    const int* field = fields + blockIdx.y * FIELD_ROW_SIZE;
    const Int b = blockIdx.z;
    const int step = field[FIELD_ROW_STEP];
    const float* own = drawn + (b * S + step) * STEP_SIZE;
    const bool noise = (int)settings[step * STEP_SETTING_SIZE + STEP_SETTING_KIND] == STEP_KIND_NOISE;
    if (own[STEP_ACTIVE] == 0.0f || (noise && (int)own[STEP_Q] != NOISE_MODEL_SPECKLE))
        return;
    const Int count = (Int)field[FIELD_ROW_DEPTH] * field[FIELD_ROW_HEIGHT] * field[FIELD_ROW_WIDTH];
    const Int draws = (count + NORMALS_GROUP - 1) / NORMALS_GROUP * 16;
    const Int draw = first_draw(channel, step, CHAIN_PART_NODES)
                     + field[FIELD_ROW_NUMBER] / NORMALS_GROUP * 16;
    float* target = nodes + b * size + field[FIELD_ROW_OFFSET];
    const Int threads = (Int)gridDim.x * blockDim.x;
    for (Int i = (Int)blockIdx.x * blockDim.x + threadIdx.x; i < draws; i += threads) {
        const Words words = random_words(seed, indices[b], STREAM_CHAIN, draw + i);
        float* at = target + i / 16 * NORMALS_GROUP + i % 16;
        const unsigned int each[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int w = 0; w < 4; ++w) {
            const float2 pair = normal_pair(each[w]);
            at[32 * w] = pair.x;
            at[32 * w + 16] = pair.y;
        }
    }
}
