// Normal, Gumbel and exponential numbers from random words, by integer tables. What each means is
// in quantiles.py, the twin, which makes the tables.
#pragma once

// In 1/4096, of a word's upper 12 bits.
__device__ __forceinline__ int normal(unsigned int word)
{
    return NORMAL_QUANTILE[word >> 20];
}

__device__ __forceinline__ int gumbel(unsigned int word)
{
    return GUMBEL_QUANTILE[word >> 20];
}

// -log(word / 2^32) in 1/4096, to 13 bits of the word; of 1 where the word is 0.
__device__ __forceinline__ int negative_log(unsigned int word)
{
    const unsigned int own = word == 0 ? 1u : word;
    const int zeros = __clz((int)own);
    return (zeros * 45426 + NEGATIVE_LOGARITHM[(own << zeros >> 19) & 4095u] + 8) >> 4;
}
