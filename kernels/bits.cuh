// 64-bit row words: bit i of word w is voxel x = 64 w + i.
#pragma once

typedef unsigned long long Word;

// Bits low .. high set, 0 <= low <= high <= 63.
__device__ __forceinline__ Word span(long long low, long long high)
{
    return (~0ull << low) & (~0ull >> (63 - high));
}

// The 64 bits that begin `shift` (0 .. 63) bits into `low`, running on into `high`.
__device__ __forceinline__ Word shifted_pair(Word low, Word high, int shift)
{
    return (low >> shift) | ((high << 1) << (63 - shift));
}

// Bits of the row interval low .. high (any order, any sign) that fall in word number `word`.
__device__ __forceinline__ Word clip_span(long long word, long long low, long long high)
{
    const long long first = low - 64 * word > 0 ? low - 64 * word : 0;
    const long long last = high - 64 * word < 63 ? high - 64 * word : 63;
    return first > last ? 0ull : span(first, last);
}
