// Random star-shaped structures, and what each slice shows of them. The rules are in
// sample_masks.py, the twin.
//
// Launch: a block a family; grid (families, B, 1), 64 threads or more, shared memory for
// WALK_CHANNELS * (D + WALK_WINDOW - 1) ints.
#include "masks.cuh"
#include "philox.cuh"
#include "quantiles.cuh"
#include "scene.cuh"

typedef long long Int;
typedef unsigned long long Long;

constexpr float NEVER = -1e6f;  // slice, long before the first

enum {
    RADIUS_WORD = 0, ELONGATED_WORD = 1, STRETCH_WORD = 2, TURN_WORD = 3, HOLLOW_WORD = 4,
    LUMEN_WORD = 5, X_WORD = 6, Y_WORD = 7, WIDEST_WORD = 8, GROW_WORD = 9, SHRINK_WORD = 10,
    BORN_WORD = 11, BIRTH_WORD = 12, AMPLITUDE_WORD = 16, PHASE_WORD = 22, SIZE_WORD = 28
};
// The words about a family's satellites are y, z and w of draw 3, that about the families is y of
// draw 7.
constexpr int SATELLITES_DRAW = 3, FAMILIES_DRAW = 7;

struct Satellites { int count; bool nested; };

REAL_FUNCTION Long first_draw(int family, int member)
{
    return ((Long)family * FAMILY_MAX + member) * MASK_DRAWS;
}

REAL_FUNCTION Satellites satellites_of(const float* settings, int family, Long seed, Long index)
{
    const Words w =
        random_words(seed, index, STREAM_MASKS, first_draw(family, 0) + SATELLITES_DRAW);
    if (unit_float(w.y) >= settings[MASK_SETTING_NEAR])
        return Satellites{0, false};
    return Satellites{bounded(w.z, (int)settings[MASK_SETTING_SATELLITES_LOW],
                              (int)settings[MASK_SETTING_SATELLITES_HIGH]),
                      unit_float(w.w) < settings[MASK_SETTING_NESTED]};
}

REAL_FUNCTION void lay_waves(float* form, const float* settings, const unsigned int* words)
{
    float total = 0.0f;
    for (int i = 0; i < CONTOUR_WAVES; ++i) {
        const float share = (float)normal(words[AMPLITUDE_WORD + i]) / (float)(WAVES_LOW + i);
        const float amplitude = settings[MASK_SETTING_ROUGHNESS] * share;
        form[MASK_FORM_AMPLITUDE + i] = amplitude;
        form[MASK_FORM_PHASE + i] = unit_float(words[PHASE_WORD + i]);
        total = total + magnitude(amplitude);
    }
    const float waviness = settings[MASK_SETTING_WAVINESS];
    const float factor = waviness / most(total, waviness);
    for (int i = 0; i < CONTOUR_WAVES; ++i)
        form[MASK_FORM_AMPLITUDE + i] = form[MASK_FORM_AMPLITUDE + i] * factor;
}

REAL_FUNCTION void lay_turn(float* form, float stretch, float turns)
{
    const float c = cosine_of_turns(turns), s = sine_of_turns(turns), side = root(stretch);
    form[MASK_FORM_U_X] = c / side;
    form[MASK_FORM_U_Y] = s / side;
    form[MASK_FORM_V_X] = -(s * side);
    form[MASK_FORM_V_Y] = c * side;
}

REAL_FUNCTION void draw_form(const float* settings, int family, int member, bool nested,
                             const unsigned int* words, float* form, const float* parent)
{
    form[MASK_FORM_FAMILY] = (float)family;
    form[MASK_FORM_MEMBER] = (float)member;
    form[MASK_FORM_NESTED] = 0.0f;
    form[MASK_FORM_LUMEN] = 0.0f;
    form[MASK_FORM_BIRTH] = NEVER;
    float stretch = 1.0f;
    if (unit_float(words[ELONGATED_WORD]) < settings[MASK_SETTING_ELONGATED])
        stretch = uniform(words[STRETCH_WORD], settings[MASK_SETTING_ELONGATION_LOW],
                          settings[MASK_SETTING_ELONGATION_HIGH]);
    lay_turn(form, stretch, unit_float(words[TURN_WORD]));
    lay_waves(form, settings, words);
    if (unit_float(words[HOLLOW_WORD]) < settings[MASK_SETTING_LUMEN] || (nested && member == 0))
        form[MASK_FORM_LUMEN] = uniform(words[LUMEN_WORD], settings[MASK_SETTING_LUMEN_LOW],
                                        settings[MASK_SETTING_LUMEN_HIGH]);
    form[MASK_FORM_WIDEST] = uniform(words[WIDEST_WORD], settings[MASK_SETTING_WIDEST_LOW],
                                     settings[MASK_SETTING_WIDEST_HIGH]);
    form[MASK_FORM_GROW] = uniform(words[GROW_WORD], settings[MASK_SETTING_GROW_LOW],
                                   settings[MASK_SETTING_GROW_HIGH]);
    form[MASK_FORM_SHRINK] = uniform(words[SHRINK_WORD], settings[MASK_SETTING_SHRINK_LOW],
                                     settings[MASK_SETTING_SHRINK_HIGH]);
    if (unit_float(words[BORN_WORD]) < settings[MASK_SETTING_BORN])
        form[MASK_FORM_BIRTH] = uniform(words[BIRTH_WORD], settings[MASK_SETTING_BIRTH_LOW],
                                        settings[MASK_SETTING_BIRTH_HIGH]);

    if (member == 0) {
        form[MASK_FORM_RADIUS] = power_of_two(uniform(words[RADIUS_WORD],
                                                      settings[MASK_SETTING_RADIUS_LOW],
                                                      settings[MASK_SETTING_RADIUS_HIGH]));
        form[MASK_FORM_X] =
            uniform(words[X_WORD], settings[MASK_SETTING_X_LOW], settings[MASK_SETTING_X_HIGH]);
        form[MASK_FORM_Y] =
            uniform(words[Y_WORD], settings[MASK_SETTING_Y_LOW], settings[MASK_SETTING_Y_HIGH]);
        form[MASK_FORM_GAP] = 0.0f;
        return;
    }
    const float share = uniform(words[SIZE_WORD], settings[MASK_SETTING_SIZE_LOW],
                                settings[MASK_SETTING_SIZE_HIGH]);
    form[MASK_FORM_RADIUS] =
        most(share * parent[MASK_FORM_RADIUS], settings[MASK_SETTING_RADIUS_LEAST]);
    const float turns = unit_float(words[X_WORD]);
    form[MASK_FORM_X] = cosine_of_turns(turns);
    form[MASK_FORM_Y] = sine_of_turns(turns);
    form[MASK_FORM_GAP] =
        uniform(words[Y_WORD], settings[MASK_SETTING_GAP_LOW], settings[MASK_SETTING_GAP_HIGH]);
    form[MASK_FORM_WIDEST] = parent[MASK_FORM_WIDEST];
    if (nested && member == 1) {
        form[MASK_FORM_NESTED] = 1.0f;
        for (int i = MASK_FORM_U_X; i < MASK_FORM_WIDEST; ++i)  // frame and waves
            form[i] = parent[i];
    }
}

// A whole step from 16 random bits: odd, within 2^16 of 0.
REAL_FUNCTION int walk_step(unsigned int bits)
{
    return 2 * (int)(bits & 0xFFFFu) - 65535;
}

REAL_FUNCTION void lay_steps(const Words& w, int* walk, int z, int pitch)
{
    const unsigned int words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        walk[2 * i * pitch + z] = walk_step(words[i]);
        walk[(2 * i + 1) * pitch + z] = walk_step(words[i] >> 16);
    }
}

// How far a smoothed walk is at slice z from where it was at `start`.
REAL_FUNCTION float walked(const int* walk, int pitch, int channel, int z, int start)
{
    const int* at = walk + channel * pitch;
    int total = 0;
    for (int i = 0; i < WALK_WINDOW; ++i)
        total += at[z + i] - at[start + i];
    return (float)total;
}

REAL_FUNCTION int widest_slice(const float* form, int depth)
{
    return min((int)most(form[MASK_FORM_WIDEST], 0.0f), depth - 1);
}

REAL_FUNCTION float radius_at(const float* settings, const float* form, int z)
{
    if (settings[MASK_SETTING_EVOLVES] == 0.0f)
        return form[MASK_FORM_RADIUS];
    const float at = (float)z;
    const float before = form[MASK_FORM_WIDEST] - at, after = at - form[MASK_FORM_WIDEST];
    const float radius = form[MASK_FORM_RADIUS]
        - most(form[MASK_FORM_GROW] * before, form[MASK_FORM_SHRINK] * after);
    return least(radius, fused(settings[MASK_SETTING_GROW_HIGH], at - form[MASK_FORM_BIRTH],
                               settings[MASK_SETTING_BIRTH_RADIUS]));
}

REAL_FUNCTION void lay_section(const float* settings, const float* form, const float* parent,
                               const int* walk, int pitch, int z, int start, float* section)
{
    float radius;
    if (form[MASK_FORM_NESTED] != 0.0f) {
        for (int i = MASK_SECTION_RADIUS; i < MASK_SECTION_SIZE; ++i)
            section[i] = parent[i];
        radius = least(parent[MASK_SECTION_LUMEN] - form[MASK_FORM_GAP],
                       parent[MASK_SECTION_RADIUS]);
    } else {
        radius = radius_at(settings, form, z);
        for (int i = 0; i < 4; ++i)
            section[MASK_SECTION_U_X + i] = form[MASK_FORM_U_X + i];
        for (int i = 0; i < CONTOUR_WAVES; ++i) {
            const float amplitude = form[MASK_FORM_AMPLITUDE + i];
            const float turns = fused(settings[MASK_SETTING_DRIFT],
                                      walked(walk, pitch, 2 + i, z, start), form[MASK_FORM_PHASE + i]);
            section[MASK_SECTION_WAVE + 2 * i] = amplitude * cosine_of_turns(turns);
            section[MASK_SECTION_WAVE + 2 * i + 1] = amplitude * sine_of_turns(turns);
        }
    }
    radius = most(radius, 0.0f);
    section[MASK_SECTION_RADIUS] = radius;
    section[MASK_SECTION_LUMEN] = -1.0f;
    if (form[MASK_FORM_LUMEN] > 0.0f)
        section[MASK_SECTION_LUMEN] = form[MASK_FORM_LUMEN] * radius;
    if (form[MASK_FORM_MEMBER] == 0.0f) {
        section[MASK_SECTION_Y] = fused(settings[MASK_SETTING_WANDER],
                                        walked(walk, pitch, 0, z, start), form[MASK_FORM_Y]);
        section[MASK_SECTION_X] = fused(settings[MASK_SETTING_WANDER],
                                        walked(walk, pitch, 1, z, start), form[MASK_FORM_X]);
    } else if (form[MASK_FORM_NESTED] == 0.0f) {
        const float dy = form[MASK_FORM_Y], dx = form[MASK_FORM_X];
        float away = form[MASK_FORM_GAP] + contour_at(parent, dy, dx);
        away = away + contour_at(section, -dy, -dx);
        section[MASK_SECTION_Y] = fused(away, dy, parent[MASK_SECTION_Y]);
        section[MASK_SECTION_X] = fused(away, dx, parent[MASK_SECTION_X]);
    }
    float total = 1.0f;
    for (int i = 0; i < CONTOUR_WAVES; ++i)
        total = total + magnitude(form[MASK_FORM_AMPLITUDE + i]);
    section[MASK_SECTION_REACH] = radius * total;
}

REAL_FUNCTION void write_place(int* place, int n, int z, const float* section)
{
    place[PLACED_OBJECT] = place[PLACED_VARIANT] = n;
    place[PLACED_Z] = z;
    place[PLACED_Y] = (int)floor_of(section[MASK_SECTION_Y]);
    place[PLACED_X] = (int)floor_of(section[MASK_SECTION_X]);
    place[PLACED_ACCEPTED] = 0;
    place[PLACED_PROPOSALS] = 1;
}

REAL_FUNCTION void write_nothing(float* sections, int* placed, int n, int D)
{
    for (int z = threadIdx.x; z < D; z += blockDim.x)
        sections[((Int)n * D + z) * MASK_SECTION_SIZE + MASK_SECTION_REACH] = 0.0f;
    if (threadIdx.x == 0) {
        int* place = placed + (Int)n * PLACED_SIZE;
        for (int i = 0; i < PLACED_SIZE; ++i)
            place[i] = 0;
        place[PLACED_OBJECT] = place[PLACED_VARIANT] = n;
    }
}

extern "C" __global__ void sample_masks(
    const float* settings,  // (MASK_SETTING_SIZE,)
    Long seed,
    const Long* indices,    // (B,)
    float* forms,           // (B, N, MASK_FORM_SIZE), out
    float* sections,        // (B, N, D, MASK_SECTION_SIZE), out
    int* placed,            // (B, N, PLACED_SIZE), out
    int N, int D)
{
    extern __shared__ int walk[];
    __shared__ unsigned int words[4 * MASK_FORM_DRAWS];
    __shared__ int first, total;

    const int family = blockIdx.x, thread = threadIdx.x, pitch = D + WALK_WINDOW - 1;
    const Int b = blockIdx.y;
    const Long index = indices[b];
    forms += b * N * MASK_FORM_SIZE;
    sections += b * N * D * MASK_SECTION_SIZE;
    placed += b * N * PLACED_SIZE;

    const int families =
        bounded(random_words(seed, index, STREAM_MASKS, FAMILIES_DRAW).y,
                (int)settings[MASK_SETTING_STRUCTURES_LOW], (int)settings[MASK_SETTING_STRUCTURES_HIGH]);
    if (family >= families)
        return;
    if (thread == 0)
        first = total = 0;
    __syncthreads();
    for (int other = thread; other < families; other += blockDim.x) {
        const int members = 1 + satellites_of(settings, other, seed, index).count;
        atomicAdd(&total, members);
        if (other < family)
            atomicAdd(&first, members);
    }
    __syncthreads();
    if (family == 0)
        for (int n = total; n < N; ++n)
            write_nothing(sections, placed, n, D);

    const Satellites satellites = satellites_of(settings, family, seed, index);
    for (int member = 0; member <= satellites.count && first + member < N; ++member) {
        const Long draw = first_draw(family, member);
        for (int i = thread; i < MASK_FORM_DRAWS + pitch; i += blockDim.x) {
            const Words w = random_words(seed, index, STREAM_MASKS, draw + i);
            if (i < MASK_FORM_DRAWS) {
                words[4 * i] = w.x;
                words[4 * i + 1] = w.y;
                words[4 * i + 2] = w.z;
                words[4 * i + 3] = w.w;
            } else {
                lay_steps(w, walk, i - MASK_FORM_DRAWS, pitch);
            }
        }
        __syncthreads();
        const int n = first + member;
        float* form = forms + (Int)n * MASK_FORM_SIZE;
        if (thread < WALK_CHANNELS) {
            int* own = walk + thread * pitch;
            for (int z = 1; z < pitch; ++z)
                own[z] += own[z - 1];
        } else if (thread == 32) {
            draw_form(settings, family, member, satellites.nested, words, form,
                      forms + (Int)first * MASK_FORM_SIZE);
        }
        __syncthreads();
        const int start = widest_slice(form, D);
        for (int z = thread; z < D; z += blockDim.x) {
            float* section = sections + ((Int)n * D + z) * MASK_SECTION_SIZE;
            lay_section(settings, form, sections + ((Int)first * D + z) * MASK_SECTION_SIZE, walk,
                        pitch, z, start, section);
            if (z == start)
                write_place(placed + (Int)n * PLACED_SIZE, n, z, section);
        }
        __syncthreads();
    }
}
