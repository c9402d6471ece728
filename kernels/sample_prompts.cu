// A box and clicks for each label value; the rules are in sample_prompts.py, the twin.
//
// Launch: a block a label value; grid (K, B, 1). All threads of a block know the same numbers; its
// warps share the rows that are looked through for a click.
#include "philox.cuh"

typedef long long Int;
typedef unsigned long long Long;

#define THREADS 128
#define SIDE_MAX 512
#define LANES 32
constexpr unsigned int ALL_LANES = 0xFFFFFFFFu;
constexpr int JITTER_DRAW = 1, POSITIVE_DRAW = 3, NEGATIVE_DRAW = POSITIVE_DRAW + PROMPT_CLICKS_MAX;

struct Slices { int first, last; };
struct Ends { int low, high; };
struct Click { int z, y, x; };
struct Region { int z, y0, y1, x0, x1; };

__device__ __forceinline__ int voxels_of(const int* shown, int z)
{
    return shown[z * LABEL_SLICE_SIZE + LABEL_SLICE_VOXELS];
}

__device__ __forceinline__ Slices scope_of(const int* shown, int D, int scope, unsigned int word)
{
    int first = -1, last = 0, largest = 0, count = 0;
    for (int z = 0; z < D; ++z) {
        if (voxels_of(shown, z) == 0)
            continue;
        if (first < 0)
            first = largest = z;
        last = z;
        ++count;
        if (voxels_of(shown, z) > voxels_of(shown, largest))
            largest = z;
    }
    if (scope == PROMPT_SCOPE_WHOLE)
        return Slices{first, last};
    if (scope == PROMPT_SCOPE_LARGEST)
        return Slices{largest, largest};
    if (scope == PROMPT_SCOPE_ANY)
        for (int left = bounded(word, 0, count - 1); left > 0;)
            if (voxels_of(shown, ++first) > 0)
                --left;
    return Slices{first, first};
}

// Which of the 32 voxels from x on are candidates; of a whole warp.
__device__ __forceinline__ unsigned int candidates_at(const LABEL_TYPE* row, int x, int last, int own,
                                                      bool inside)
{
    const int column = x + (int)(threadIdx.x % LANES);
    return __ballot_sync(ALL_LANES, column <= last && (row[column] == own) == inside);
}

// The voxel of a rank among the candidates in a region, which has as many slices as it takes.
__device__ __forceinline__ Click click_in(const LABEL_TYPE* label, const int* shown, int H, int W,
                                          int own, bool inside, const Region& region, int rank)
{
    __shared__ int counts[SIDE_MAX];
    __shared__ int column;

    const int area = (region.y1 - region.y0 + 1) * (region.x1 - region.x0 + 1);
    int z = region.z;
    for (;; ++z) {
        const int shown_here = voxels_of(shown, z), count = inside ? shown_here : area - shown_here;
        if (rank < count)
            break;
        rank -= count;
    }
    const LABEL_TYPE* plane = label + (Int)z * H * W;
    for (int y = region.y0 + threadIdx.x / LANES; y <= region.y1; y += THREADS / LANES) {
        int count = 0;
        for (int x = region.x0; x <= region.x1; x += LANES)
            count += __popc(candidates_at(plane + y * W, x, region.x1, own, inside));
        if (threadIdx.x % LANES == 0)
            counts[y - region.y0] = count;
    }
    __syncthreads();
    int y = region.y0;
    for (; rank >= counts[y - region.y0]; ++y)
        rank -= counts[y - region.y0];
    if (threadIdx.x < LANES) {
        int x = region.x0;
        unsigned int found = candidates_at(plane + y * W, x, region.x1, own, inside);
        while (rank >= __popc(found)) {
            rank -= __popc(found);
            x += LANES;
            found = candidates_at(plane + y * W, x, region.x1, own, inside);
        }
        for (; rank > 0; --rank)
            found &= found - 1;
        if (threadIdx.x == 0)
            column = x + __ffs((int)found) - 1;
    }
    __syncthreads();
    const Click click{z, y, column};
    __syncthreads();
    return click;
}

__device__ __forceinline__ Ends jittered(int low, int high, int jitter, unsigned int low_word,
                                         unsigned int high_word, int side, int held)
{
    const int most = (int)(((Int)(high - low + 1) * jitter) >> 16);
    low = max(low + bounded(low_word, -most, most), 0);
    high = min(high + bounded(high_word, -most, most), side - 1);
    return Ends{min(low, held), max(high, held)};
}

extern "C" __global__ void __launch_bounds__(THREADS) sample_prompts(
    const int* __restrict__ settings,      // (PROMPT_SETTING_SIZE,)
    const LABEL_TYPE* __restrict__ label,  // (B, stride), values 0 .. K
    const int* __restrict__ table,         // (B, K, D, LABEL_SLICE_SIZE)
    Long seed,
    const Long* __restrict__ indices,      // (B,)
    int* prompts,                          // (B, K, PROMPT_ROW_SIZE), out
    int K, int D, int H, int W, Int stride)
{
    const int k = blockIdx.x, thread = threadIdx.x, own = k + 1;
    const Int b = blockIdx.y;
    const Long index = indices[b], draw = (Long)k * PROMPT_DRAWS;
    const int* shown = table + (b * K + k) * D * LABEL_SLICE_SIZE;
    int* row = prompts + (b * K + k) * PROMPT_ROW_SIZE;
    label += b * stride;

    int total = 0;
    for (int z = 0; z < D; ++z)
        total += voxels_of(shown, z);
    for (int i = thread; i < PROMPT_ROW_SIZE; i += THREADS)
        row[i] = i == PROMPT_ROW_VOXELS ? total : -1;
    if (total == 0)
        return;
    __syncthreads();

    const int scope = settings[PROMPT_SETTING_SCOPE];
    const bool whole = scope == PROMPT_SCOPE_WHOLE;
    const Slices slices =
        scope_of(shown, D, scope, random_words(seed, index, STREAM_PROMPTS, draw).x);
    int y0 = H, y1 = -1, x0 = W, x1 = -1, voxels = 0;
    for (int z = slices.first; z <= slices.last; ++z) {
        const int* here = shown + z * LABEL_SLICE_SIZE;
        if (here[LABEL_SLICE_VOXELS] > 0) {
            y0 = min(y0, here[LABEL_SLICE_Y_LOW]);
            y1 = max(y1, here[LABEL_SLICE_Y_HIGH]);
            x0 = min(x0, here[LABEL_SLICE_X_LOW]);
            x1 = max(x1, here[LABEL_SLICE_X_HIGH]);
            voxels += here[LABEL_SLICE_VOXELS];
        }
    }

    const int margin = settings[PROMPT_SETTING_MARGIN];
    const int front = whole ? max(slices.first - margin, 0) : slices.first;
    const int back = whole ? min(slices.last + margin, D - 1) : slices.last;
    const Region about{front, max(y0 - margin, 0), min(y1 + margin, H - 1), max(x0 - margin, 0),
                       min(x1 + margin, W - 1)};
    const Region within{slices.first, y0, y1, x0, x1};
    const int others =
        (back - front + 1) * (about.y1 - about.y0 + 1) * (about.x1 - about.x0 + 1) - voxels;

    const int positive = settings[PROMPT_SETTING_POSITIVE], drawn = max(positive, 1);
    const int clicks = drawn + settings[PROMPT_SETTING_NEGATIVE];
    Click held{0, 0, 0};
    for (int i = 0; i < clicks; ++i) {
        const bool inside = i < drawn;
        const int number = inside ? i : i - drawn, candidates = inside ? voxels : others;
        if (candidates == 0)
            continue;
        const int to = (inside ? POSITIVE_DRAW : NEGATIVE_DRAW) + number;
        const unsigned int word = random_words(seed, index, STREAM_PROMPTS, draw + to).x;
        const Click click = click_in(label, shown, H, W, own, inside, inside ? within : about,
                                     bounded(word, 0, candidates - 1));
        if (i == 0)
            held = click;
        if (thread == 0 && (i < positive || !inside)) {
            int* at = row + (inside ? PROMPT_ROW_POSITIVE : PROMPT_ROW_NEGATIVE) + 3 * number;
            at[0] = click.z;
            at[1] = click.y;
            at[2] = click.x;
        }
    }

    if (thread == 0) {
        const int jitter = settings[PROMPT_SETTING_JITTER];
        const Words low = random_words(seed, index, STREAM_PROMPTS, draw + JITTER_DRAW);
        const Words high = random_words(seed, index, STREAM_PROMPTS, draw + JITTER_DRAW + 1);
        const Ends z =
            jittered(slices.first, slices.last, whole ? jitter : 0, low.x, low.w, D, held.z);
        const Ends y = jittered(y0, y1, jitter, low.y, high.x, H, held.y);
        const Ends x = jittered(x0, x1, jitter, low.z, high.y, W, held.x);
        int* box = row + PROMPT_ROW_BOX;
        box[0] = z.low;
        box[1] = y.low;
        box[2] = x.low;
        box[3] = z.high;
        box[4] = y.high;
        box[5] = x.high;
        row[PROMPT_ROW_SLICE] = whole ? -1 : slices.first;
    }
}
