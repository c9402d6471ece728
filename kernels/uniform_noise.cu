// Integer noise added to a two-level image in place, a thread four voxels. IMAGE_TYPE is an unsigned
// integer of the size of the image's elements. The rules are in uniform_noise.py, the twin.
#include "philox.cuh"

typedef long long Int;

extern "C" __global__ void uniform_noise(
    int low, int high, int value,
    const IMAGE_TYPE* levels,           // (value + high,)
    unsigned long long seed,
    const unsigned long long* indices,  // (B,)
    IMAGE_TYPE* image,                  // (B, voxels), in and out
    Int voxels)
{
    const Int draw = (Int)blockIdx.x * blockDim.x + threadIdx.x, start = 4 * draw;
    if (start >= voxels)
        return;
    const unsigned long long index = indices[blockIdx.y];
    const Words first = random_words(seed, index, STREAM_NOISE_AMPLITUDE, 0);
    const unsigned int amplitude = (unsigned int)bounded(first.x, low, high);
    const Words words = random_words(seed, index, STREAM_NOISE, draw);
    const unsigned int word[4] = {words.x, words.y, words.z, words.w};
    IMAGE_TYPE* run = image + (Int)blockIdx.y * voxels + start;
#pragma unroll
    for (int i = 0; i < 4; ++i)
        if (start + i < voxels) {
            const int base = run[i] == levels[value] ? value : 0;
            run[i] = levels[base + (int)(((unsigned long long)word[i] * amplitude) >> 32)];
        }
}
