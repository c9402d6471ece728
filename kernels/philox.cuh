// Philox4x32-10. Salmon, Moraes, Dror, Shaw, SC'11, doi:10.1145/2063384.2063405.
#pragma once

struct Words { unsigned int x, y, z, w; };

__device__ __forceinline__ Words philox4x32(Words c, unsigned int k0, unsigned int k1)
{
    for (int round = 0; round < 10; ++round) {
        const unsigned long long p0 = 0xD2511F53ull * c.x;
        const unsigned long long p1 = 0xCD9E8D57ull * c.z;
        c = Words{(unsigned int)(p1 >> 32) ^ c.y ^ k0, (unsigned int)p1,
                  (unsigned int)(p0 >> 32) ^ c.w ^ k1, (unsigned int)p0};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// Counter, from its lowest bit: 48 bits of draw, 16 of stream, 64 of index. Key: the seed.
__device__ __forceinline__ Words random_words(unsigned long long seed, unsigned long long index,
                                              unsigned int stream, unsigned long long draw)
{
    const unsigned int high = ((unsigned int)(draw >> 32) & 0xFFFFu) | (stream << 16);
    return philox4x32(Words{(unsigned int)draw, high, (unsigned int)index, (unsigned int)(index >> 32)},
                      (unsigned int)seed, (unsigned int)(seed >> 32));
}

// Integer in low .. high, both included; bias below (high - low + 1) / 2^32.
__device__ __forceinline__ int bounded(unsigned int word, int low, int high)
{
    return low + (int)(((unsigned long long)word * (unsigned int)(high - low + 1)) >> 32);
}
