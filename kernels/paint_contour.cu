// Placed objects into label map and contour image. A block paints one slice of a volume, a thread
// sixteen voxels of a row at a time, from the object painted last to the first. IMAGE_TYPE and
// LABEL_TYPE are unsigned integers of the size of the outputs' elements. The rules are in
// paint_contour.py, the twin.
#include "bits.cuh"

typedef long long Int;
typedef unsigned int Packed;  // 4 / sizeof(T) elements

#define RUN 16

// All ones in each element of a packed word whose bit is set; bits beyond the word's elements are ignored.
template <int size> __device__ __forceinline__ Packed spread(Packed bits)
{
    if (size == 1)
        return (((bits & 15u) * 0x00204081u) & 0x01010101u) * 255u;
    if (size == 2)
        return (bits & 1u ? 0x0000FFFFu : 0u) | (bits & 2u ? 0xFFFF0000u : 0u);
    return bits & 1u ? ~0u : 0u;
}

// An element's value in every element of a packed word.
template <int size> __device__ __forceinline__ Packed repeat(Packed value)
{
    return size == 1 ? value * 0x01010101u : size == 2 ? value * 0x00010001u : value;
}

// Put `value` into the elements of a run whose bit is set.
template <typename T> __device__ __forceinline__ void put(Packed (&run)[RUN * sizeof(T) / 4], Packed bits,
                                                          Packed value)
{
    const Packed all = repeat<sizeof(T)>(value);
#pragma unroll
    for (int i = 0; i < (int)(RUN * sizeof(T) / 4); ++i) {
        const Packed mask = spread<sizeof(T)>(bits >> (i * (4 / sizeof(T))));
        run[i] = (run[i] & ~mask) | (all & mask);
    }
}

template <typename T> __device__ __forceinline__ void write(T* out, const Packed (&run)[RUN * sizeof(T) / 4],
                                                            int count, bool aligned)
{
    if (aligned) {
#pragma unroll
        for (int i = 0; i < (int)sizeof(T); ++i)
            reinterpret_cast<uint4*>(out)[i] =
                make_uint4(run[4 * i], run[4 * i + 1], run[4 * i + 2], run[4 * i + 3]);
        return;
    }
#pragma unroll
    for (int i = 0; i < RUN; ++i)
        if (i < count)
            out[i] = (T)(run[i * sizeof(T) / 4] >> (8 * (i * sizeof(T) % 4)));
}

// Bits x .. x + 15 of a row, zero outside of it.
__device__ __forceinline__ Packed window(const Word* rows, int words, int height, int x)
{
    const int word = x >> 6, shift = x & 63;
    const Word low = word >= 0 && word < words ? rows[word * height] : 0;
    const Word high = shift > 48 && word + 1 >= 0 && word + 1 < words ? rows[(word + 1) * height] : 0;
    return (Packed)shifted_pair(low, high, shift) & 0xFFFFu;
}

struct Section {
    const Word *labels, *lines;
    int first, stop, height, words, y, x;
    Packed value;
};

extern "C" __global__ void paint_contour(
    const int* objects,                   // (B, N, columns)
    const int* placed,                    // (B, N, PLACED_SIZE)
    const int* boxes,                     // (B, V, BOX_SIZE)
    const int* slices,                    // (B, V, S, SLICE_SIZE)
    const Word* labels, const Word* lines,  // (B, V, R)
    unsigned int low, unsigned int high, int lit,
    IMAGE_TYPE* image,                    // (B, D, H, W), out
    LABEL_TYPE* label,                    // (B, D, H, W), out
    int N, int columns, int V, int S, Int R, int D, int H, int W)
{
    __shared__ bool present[OBJECTS_MAX];
    __shared__ Section sections[OBJECTS_MAX];

    const int b = blockIdx.y, z = blockIdx.x, thread = threadIdx.x, threads = blockDim.x;
    for (int rank = thread; rank < N; rank += threads) {
        const int* place = placed + ((Int)b * N + rank) * PLACED_SIZE;
        const int* box = boxes + ((Int)b * V + place[PLACED_VARIANT]) * BOX_SIZE;
        const int k = z - place[PLACED_Z];
        present[rank] = place[PLACED_ACCEPTED] && k >= 0 && k < box[BOX_DEPTH];
    }
    __syncthreads();

    int count = 0;
    for (int rank = 0; rank < N; ++rank) {
        if (present[rank] && rank % threads == thread) {
            const int* place = placed + ((Int)b * N + rank) * PLACED_SIZE;
            const Int variant = (Int)b * V + place[PLACED_VARIANT];
            const int* box = boxes + variant * BOX_SIZE;
            const int k = (z - place[PLACED_Z]) * box[BOX_STEP];
            const int* record = slices + (variant * S + k) * SLICE_SIZE;
            const int height = box[BOX_HEIGHT], words = (box[BOX_WIDTH] + 63) >> 6;
            const Int start = variant * R + (Int)k * words * height;
            const int* object = objects + ((Int)b * N + place[PLACED_OBJECT]) * columns;
            sections[count] = Section{labels + start, lines + start, record[SLICE_FIRST],
                                      record[SLICE_STOP], height, words, place[PLACED_Y],
                                      place[PLACED_X], (Packed)object[OBJECT_LABEL]};
        }
        count += present[rank];
    }
    __syncthreads();

    const int runs = (W + RUN - 1) / RUN;
    const bool aligned = W % RUN == 0 && (((size_t)image | (size_t)label) & 15) == 0;
    for (int i = thread; i < runs * H; i += threads) {
        const int y = i / runs, x = i % runs * RUN;
        Packed label_run[RUN * sizeof(LABEL_TYPE) / 4] = {};
        Packed free = 0xFFFFu, line = 0;
        for (int s = count - 1; s >= 0; --s) {
            const Section& section = sections[s];
            const int row = y - section.y;
            if (row < section.first || row >= section.stop)
                continue;
            if (lit)
                line |= window(section.lines + row, section.words, section.height, x - section.x);
            const Packed own =
                window(section.labels + row, section.words, section.height, x - section.x) & free;
            free &= ~own;
            put<LABEL_TYPE>(label_run, own, section.value);
        }
        const Int at = (((Int)b * D + z) * H + y) * W + x;
        write<LABEL_TYPE>(label + at, label_run, W - x, aligned);
        if (!lit)
            continue;
        Packed image_run[RUN * sizeof(IMAGE_TYPE) / 4] = {};
        put<IMAGE_TYPE>(image_run, ~0u, low);
        put<IMAGE_TYPE>(image_run, line, high);
        write<IMAGE_TYPE>(image + at, image_run, W - x, aligned);
    }
}
