// Runs CUDA C++ on the CPU, compiled by g++ as ordinary C++.
//
// Threads of a block are fibers on one OS thread. Between two barriers they run one after another,
// in an order that a seed chooses anew each time, so that a result which depends on the order
// (a missing barrier, a race) changes with the seed. Shared memory starts as garbage in each block.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <math.h>
#include <stdlib.h>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// ---------------------------------------------------------------------------------- types
struct dim3 {
    unsigned int x = 1, y = 1, z = 1;
};
struct alignas(4) char4 { signed char x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(4) ushort2 { unsigned short x, y; };
struct alignas(8) ushort4 { unsigned short x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct int3 { int x, y, z; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned int x, y; };
struct uint3 { unsigned int x, y, z; };
struct alignas(16) uint4 { unsigned int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) longlong2 { long long x, y; };
struct alignas(16) ulonglong2 { unsigned long long x, y; };

static inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
static inline ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int3 make_int3(int x, int y, int z) { return {x, y, z}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned int x, unsigned int y) { return {x, y}; }
static inline uint3 make_uint3(unsigned int x, unsigned int y, unsigned int z) { return {x, y, z}; }
static inline uint4 make_uint4(unsigned int x, unsigned int y, unsigned int z, unsigned int w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline longlong2 make_longlong2(long long x, long long y) { return {x, y}; }
static inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) { return {x, y}; }

// --------------------------------------------------------------------------------- fibers
namespace host_cuda {

constexpr unsigned int WARP = 32, THREADS_MAX = 1024;
constexpr size_t STACK = 64 << 10, GUARD = 64 << 10;

enum class State { ready, barrier, warp, done };

struct Fiber {
    ucontext_t context;
    jmp_buf jump;
    bool started = false;
    char* stack = nullptr;
    void* fake_stack = nullptr;
    State state = State::done;
    uint3 thread{};
    unsigned int rank = 0;  // of the thread in its block
    const char* site = "";  // what it waits at
    unsigned int mask = 0;
    unsigned long long value = 0;
};

static Fiber fibers[THREADS_MAX];
static Fiber* current = nullptr;
static dim3 grid, block;
static uint3 block_index;
static char* dynamic_shared = nullptr;
static std::string failure;

static unsigned int threads;
static unsigned long long warp_values[THREADS_MAX];  // given to the last warp operation
static unsigned int barrier_count, barrier_live;     // outcome of the last barrier

static ucontext_t scheduler;
static jmp_buf scheduler_jump;
static void* scheduler_fake = nullptr;
static const void* scheduler_stack = nullptr;
static size_t scheduler_size = 0;
static void (*body)() = nullptr;

static inline void leave_for(void** fake, const void* stack, size_t size)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(fake, stack, size);
#else
    (void)fake, (void)stack, (void)size;
#endif
}

static inline void arrive_from(void* fake, const void** stack, size_t* size)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, stack, size);
#else
    (void)fake, (void)stack, (void)size;
#endif
}

// From the current fiber to the scheduler, until the scheduler picks this fiber again. Jumps are
// some ten times faster than swapcontext, which makes a system call; sanitizers know only the latter.
static __attribute__((noinline)) void wait_for_turn()
{
    leave_for(&current->fake_stack, scheduler_stack, scheduler_size);
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&current->context, &scheduler);
#else
    if (_setjmp(current->jump) == 0)
        _longjmp(scheduler_jump, 1);
#endif
    arrive_from(current->fake_stack, &scheduler_stack, &scheduler_size);
}

static void fiber_main()
{
    arrive_from(nullptr, &scheduler_stack, &scheduler_size);
    for (;;) {
        body();
        current->state = State::done;
        wait_for_turn();
    }
}

static void start(Fiber& fiber)
{
    if (fiber.stack == nullptr) {
        void* memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE) != 0)
            abort();
        fiber.stack = static_cast<char*>(memory) + GUARD;
    }
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
    fiber.fake_stack = nullptr;
}

static __attribute__((noinline)) void resume(Fiber& fiber)
{
    current = &fiber;
    const bool first = !fiber.started;
    if (first)
        start(fiber);
    fiber.started = true;
    leave_for(&scheduler_fake, fiber.stack, STACK);
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&scheduler, &fiber.context);
#else
    if (_setjmp(scheduler_jump) == 0) {
        if (first)
            setcontext(&fiber.context);
        else
            _longjmp(fiber.jump, 1);
    }
#endif
    arrive_from(scheduler_fake, nullptr, nullptr);
}

static std::string who(const Fiber& fiber)
{
    char text[160];
    snprintf(text, sizeof text, "thread (%u, %u, %u) of block (%u, %u, %u)", fiber.thread.x,
             fiber.thread.y, fiber.thread.z, block_index.x, block_index.y, block_index.z);
    return text;
}

static void fail(const std::string& message)
{
    failure = who(*current) + " " + message;
    wait_for_turn();  // for ever
}

static unsigned int count_barrier(const char* site, bool predicate)
{
    current->state = State::barrier;
    current->site = site;
    current->value = predicate;
    wait_for_turn();
    return barrier_count;
}

// Meets the lanes of `mask`; afterwards warp_values holds what each of them gave.
static void meet_warp(const char* operation, unsigned int mask, unsigned long long value)
{
    if (!(mask >> current->rank % WARP & 1u))
        fail(std::string("calls ") + operation + " with a mask that leaves it out");
    current->state = State::warp;
    current->site = operation;
    current->mask = mask;
    current->value = value;
    wait_for_turn();
}

static unsigned long long warp_value(unsigned int lane)
{
    return warp_values[current->rank / WARP * WARP + lane];
}

static bool release_warp(const Fiber& caller)
{
    const unsigned int base = caller.rank / WARP * WARP;
    for (unsigned int lane = 0; lane < WARP && base + lane < threads; ++lane) {
        const Fiber& fiber = fibers[base + lane];
        const bool named = caller.mask >> lane & 1u;
        const bool here = fiber.state == State::warp && fiber.mask == caller.mask &&
                          strcmp(fiber.site, caller.site) == 0;
        if (named && fiber.state != State::done && !here)
            return false;
    }
    const unsigned int mask = caller.mask;
    for (unsigned int lane = 0; lane < WARP && base + lane < threads; ++lane)
        if (mask >> lane & 1u && fibers[base + lane].state == State::warp) {
            warp_values[base + lane] = fibers[base + lane].value;
            fibers[base + lane].state = State::ready;
        }
    return true;
}

static bool release_warps()
{
    bool released = false;
    for (unsigned int rank = 0; rank < threads; ++rank)
        if (fibers[rank].state == State::warp)
            released |= release_warp(fibers[rank]);
    return released;
}

static bool release_barrier()
{
    const Fiber* first = nullptr;
    barrier_count = barrier_live = 0;
    for (unsigned int rank = 0; rank < threads; ++rank) {
        const Fiber& fiber = fibers[rank];
        if (fiber.state == State::done)
            continue;
        if (first == nullptr)
            first = &fiber;
        if (fiber.state != State::barrier || strcmp(fiber.site, first->site) != 0) {
            failure = who(*first) + " waits at " + first->site + " while " + who(fiber) + " waits at " + fiber.site;
            return false;
        }
        barrier_count += (unsigned int)fiber.value;
        ++barrier_live;
    }
    for (unsigned int rank = 0; rank < threads; ++rank)
        if (fibers[rank].state == State::barrier)
            fibers[rank].state = State::ready;
    return true;
}

// Orders: seed 0 runs threads as numbered, seed 1 in reverse, any other one shuffles each time.
struct Order {
    unsigned long long seed, state;
    std::vector<unsigned int> ranks;

    Order(unsigned long long seed, unsigned int count) : seed(seed), state(seed), ranks(count)
    {
        for (unsigned int i = 0; i < count; ++i)
            ranks[i] = seed == 1 ? count - 1 - i : i;
    }
    void shuffle()
    {
        for (size_t i = ranks.size(); seed > 1 && i > 1; --i) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            std::swap(ranks[i - 1], ranks[(state >> 33) % i]);
        }
    }
};

static bool any_alive()
{
    for (unsigned int rank = 0; rank < threads; ++rank)
        if (fibers[rank].state != State::done)
            return true;
    return false;
}

static void run_block(Order& order)
{
    for (unsigned int rank = 0; rank < threads; ++rank) {
        fibers[rank].state = State::ready;
        fibers[rank].rank = rank;
        fibers[rank].thread = {rank % block.x, rank / block.x % block.y, rank / (block.x * block.y)};
    }
    while (any_alive()) {
        order.shuffle();
        for (unsigned int rank : order.ranks)
            if (fibers[rank].state == State::ready) {
                resume(fibers[rank]);
                if (!failure.empty())
                    return;
            }
        if (any_alive() && !release_warps() && !release_barrier())
            return;
    }
}

extern "C" {
extern char __start_host_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_host_shared[] __attribute__((weak, visibility("hidden")));
}

__attribute__((no_sanitize("address"), optimize("no-tree-loop-distribute-patterns")))
static void spoil_static_shared(unsigned char pattern)
{
    for (volatile char* byte = __start_host_shared; byte < __stop_host_shared; ++byte)
        *byte = (char)pattern;
}

static void run_grid(size_t shared_bytes, unsigned long long seed)
{
    threads = block.x * block.y * block.z;
    const unsigned int blocks = grid.x * grid.y * grid.z;
    if (threads < 1 || block.x * 1ull * block.y * block.z > THREADS_MAX) {
        failure = "a block has 1 to 1024 threads";
        return;
    }
    Order thread_order(seed, threads), block_order(seed, blocks);
    block_order.shuffle();
    const unsigned char pattern = (unsigned char)(0xA5 ^ seed);
    for (unsigned int i : block_order.ranks) {
        block_index = {i % grid.x, i / grid.x % grid.y, i / (grid.x * grid.y)};
        dynamic_shared = static_cast<char*>(malloc(shared_bytes));
        memset(dynamic_shared, pattern, shared_bytes);
        spoil_static_shared(pattern);
        run_block(thread_order);
        free(dynamic_shared);
        if (!failure.empty())
            break;
    }
    if (!failure.empty())
        for (Fiber& fiber : fibers)
            fiber.started = false;
}

// -------------------------------------------------------------------------------- launches
template <class T> struct Type {
    static std::string code() { return "s" + std::to_string(sizeof(T)); }
};
template <> struct Type<void> {
    static std::string code() { return "v0"; }
};
template <class T> static std::string number_code()
{
    const char* kind = std::is_same<T, bool>::value          ? "b"
                       : std::is_floating_point<T>::value    ? "f"
                       : !std::is_integral<T>::value         ? "s"
                       : std::is_signed<T>::value            ? "i"
                                                             : "u";
    return kind + std::to_string(sizeof(T));
}
template <class T> static std::string type_code()
{
    if constexpr (std::is_pointer<T>::value) {
        using Target = std::remove_pointer_t<T>;
        using Plain = std::remove_cv_t<Target>;
        const std::string prefix = std::is_const<Target>::value ? "const *" : "*";
        if constexpr (std::is_void<Plain>::value)
            return prefix + "v0";
        else
            return prefix + number_code<Plain>();
    } else {
        return number_code<T>();
    }
}

template <class... A> static std::string signature_of(void (*)(A...))
{
    std::string text;
    ((text += (text.empty() ? "" : ",") + type_code<A>()), ...);
    return text;
}

static void** arguments;

template <class... A, size_t... I>
static void call_with(void (*kernel)(A...), std::index_sequence<I...>)
{
    kernel(*static_cast<A*>(arguments[I])...);
}
template <class... A> static void call(void (*kernel)(A...))
{
    call_with(kernel, std::index_sequence_for<A...>{});
}

struct Launch {
    uint32_t grid[3], block[3];
    uint64_t shared_bytes, seed;
};

static const char* launch(const Launch& how, void** values, void (*kernel)())
{
    grid = {how.grid[0], how.grid[1], how.grid[2]};
    block = {how.block[0], how.block[1], how.block[2]};
    arguments = values;
    body = kernel;
    failure.clear();
    run_grid(how.shared_bytes, how.seed);
    return failure.c_str();
}

// ---- the sanitized build is a program: arrays come in and go out as files, each in its own malloc
template <class T> static void read_value(FILE* file, T* value, size_t count = 1)
{
    if (fread(value, sizeof(T), count, file) != count)
        abort();
}

struct Argument {
    void* value = nullptr;  // of a pointer argument: the array
    size_t bytes = 0;
    bool array = false, written = false;
};

template <class T> static Argument read_argument(FILE* file)
{
    Argument argument;
    if constexpr (std::is_pointer<T>::value) {
        uint64_t bytes;
        read_value(file, &bytes);
        argument.array = true;
        argument.written = !std::is_const<std::remove_pointer_t<T>>::value;
        if (bytes != ~0ull) {
            argument.bytes = bytes;
            argument.value = malloc(bytes);
            read_value(file, static_cast<char*>(argument.value), bytes);
        }
    } else {
        argument.value = malloc(sizeof(T));
        read_value(file, static_cast<char*>(argument.value), sizeof(T));
    }
    return argument;
}

template <class... A> static int run_files(void (*)(A...), void (*kernel)(), char** paths)
{
    FILE* input = fopen(paths[1], "rb");
    Launch how;
    read_value(input, &how);
    std::vector<Argument> read{read_argument<A>(input)...};
    fclose(input);
    std::vector<void*> values;
    for (Argument& argument : read)
        values.push_back(argument.array ? &argument.value : argument.value);
    const std::string message = launch(how, values.data(), kernel);
    if (!message.empty()) {
        fprintf(stderr, "%s\n", message.c_str());
        return 3;
    }
    FILE* output = fopen(paths[2], "wb");
    for (const Argument& argument : read) {
        if (argument.written && fwrite(argument.value, 1, argument.bytes, output) != argument.bytes)
            abort();
        free(argument.value);
    }
    return fclose(output);
}

}  // namespace host_cuda

#if defined(__SANITIZE_ADDRESS__)
#define HOST_CUDA_EXPORT(kernel)                                                         \
    static void host_cuda_call() { host_cuda::call(kernel); }                            \
    int main(int count, char** paths)                                                    \
    {                                                                                    \
        if (count == 1)                                                                  \
            return printf("%s", host_cuda::signature_of(kernel).c_str()) < 0;            \
        return host_cuda::run_files(kernel, host_cuda_call, paths);                      \
    }
#else
#define HOST_CUDA_EXPORT(kernel)                                                         \
    static void host_cuda_call() { host_cuda::call(kernel); }                            \
    extern "C" __attribute__((visibility("default"))) const char* host_cuda_signature()  \
    {                                                                                    \
        static const std::string text = host_cuda::signature_of(kernel);                 \
        return text.c_str();                                                             \
    }                                                                                    \
    extern "C" __attribute__((visibility("default"))) const char* host_cuda_launch(      \
        const host_cuda::Launch* how, void** values)                                     \
    {                                                                                    \
        return host_cuda::launch(*how, values, host_cuda_call);                          \
    }
#endif

// ------------------------------------------------------------------------- the language
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ static inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("host_shared")))

#define threadIdx (host_cuda::current->thread)
#define blockIdx (host_cuda::block_index)
#define blockDim (host_cuda::block)
#define gridDim (host_cuda::grid)
static const int warpSize = 32;

#define HOST_CUDA_TEXT(x) HOST_CUDA_TEXT_(x)
#define HOST_CUDA_TEXT_(x) #x
#define HOST_CUDA_SITE __FILE__ ":" HOST_CUDA_TEXT(__LINE__)

#define __syncthreads() ((void)host_cuda::count_barrier(HOST_CUDA_SITE, false))
#define __syncthreads_count(p) ((int)host_cuda::count_barrier(HOST_CUDA_SITE, (p) != 0))
#define __syncthreads_or(p) (host_cuda::count_barrier(HOST_CUDA_SITE, (p) != 0) != 0)
#define __syncthreads_and(p) \
    (host_cuda::count_barrier(HOST_CUDA_SITE, (p) != 0) == host_cuda::barrier_live)

static inline void __threadfence() {}
static inline void __threadfence_block() {}

// ---------------------------------------------------------------------- warp operations
static inline void __syncwarp(unsigned int mask = 0xFFFFFFFFu) { host_cuda::meet_warp("__syncwarp", mask, 0); }

static inline unsigned int host_cuda_ballot(const char* operation, unsigned int mask, bool predicate)
{
    host_cuda::meet_warp(operation, mask, predicate);
    unsigned int ballot = 0;
    for (unsigned int lane = 0; lane < host_cuda::WARP; ++lane) {
        const unsigned int rank = host_cuda::current->rank / host_cuda::WARP * host_cuda::WARP + lane;
        if (mask >> lane & 1u && rank < host_cuda::threads)
            ballot |= (unsigned int)host_cuda::warp_value(lane) << lane;
    }
    return ballot;
}
static inline unsigned int __ballot_sync(unsigned int mask, int p) { return host_cuda_ballot("__ballot_sync", mask, p != 0); }
static inline int __any_sync(unsigned int mask, int p) { return host_cuda_ballot("__any_sync", mask, p != 0) != 0; }
static inline int __all_sync(unsigned int mask, int p) { return host_cuda_ballot("__all_sync", mask, p == 0) == 0; }

template <class T> static T host_cuda_shuffle(const char* operation, unsigned int mask, T value, int source)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(T));
    host_cuda::meet_warp(operation, mask, bits);
    if (source >= 0) {
        if (!(mask >> source & 1u))
            host_cuda::fail(std::string(operation) + " reads a lane outside the mask");
        bits = host_cuda::warp_value(source);
    }
    memcpy(&value, &bits, sizeof(T));
    return value;
}
// Source lane of a shuffle within segments of `width`; -1 keeps the lane's own value.
static inline int host_cuda_lane() { return (int)(host_cuda::current->rank % host_cuda::WARP); }
template <class T> static T __shfl_sync(unsigned int mask, T value, int source, int width = 32)
{
    const int base = host_cuda_lane() & ~(width - 1);
    return host_cuda_shuffle("__shfl_sync", mask, value, base + (source & (width - 1)));
}
template <class T> static T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = 32)
{
    const int source = host_cuda_lane() + (int)delta;
    const bool inside = (host_cuda_lane() & (width - 1)) + (int)delta < width;
    return host_cuda_shuffle("__shfl_down_sync", mask, value, inside ? source : -1);
}
template <class T> static T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = 32)
{
    const int source = host_cuda_lane() - (int)delta;
    const bool inside = (host_cuda_lane() & (width - 1)) >= (int)delta;
    return host_cuda_shuffle("__shfl_up_sync", mask, value, inside ? source : -1);
}
template <class T> static T __shfl_xor_sync(unsigned int mask, T value, int lanes, int width = 32)
{
    const int source = host_cuda_lane() ^ lanes;
    const bool inside = source < (host_cuda_lane() & ~(width - 1)) + width;
    return host_cuda_shuffle("__shfl_xor_sync", mask, value, inside ? source : -1);
}

template <class T, class F> static T host_cuda_reduce(const char* operation, unsigned int mask, T value, F combine)
{
    host_cuda::meet_warp(operation, mask, (unsigned long long)value);
    bool first = true;
    T total{};
    for (unsigned int lane = 0; lane < host_cuda::WARP; ++lane)
        if (mask >> lane & 1u) {
            const T other = (T)host_cuda::warp_value(lane);
            total = first ? other : combine(total, other);
            first = false;
        }
    return total;
}
#define HOST_CUDA_REDUCE(name, expression)                                                          \
    static inline unsigned int __reduce_##name##_sync(unsigned int mask, unsigned int value)        \
    {                                                                                               \
        return host_cuda_reduce("__reduce_" #name "_sync", mask, value,                             \
                                [](unsigned int a, unsigned int b) { return expression; });         \
    }
HOST_CUDA_REDUCE(add, a + b)
HOST_CUDA_REDUCE(min, a < b ? a : b)
HOST_CUDA_REDUCE(max, a < b ? b : a)
HOST_CUDA_REDUCE(and, a& b)
HOST_CUDA_REDUCE(or, a | b)
HOST_CUDA_REDUCE(xor, a ^ b)
// Signed, as CUDA overloads them.
static inline int __reduce_add_sync(unsigned int mask, int value) { return (int)__reduce_add_sync(mask, (unsigned int)value); }
static inline int __reduce_min_sync(unsigned int mask, int value)
{
    return host_cuda_reduce("__reduce_min_sync", mask, value, [](int a, int b) { return a < b ? a : b; });
}
static inline int __reduce_max_sync(unsigned int mask, int value)
{
    return host_cuda_reduce("__reduce_max_sync", mask, value, [](int a, int b) { return a < b ? b : a; });
}

// ------------------------------------------------------------------------------- atomics
template <class T> struct HostCudaSame { using type = T; };
#define HOST_CUDA_ATOMIC(name, expression)                                            \
    template <class T> static T name(T* target, typename HostCudaSame<T>::type value) \
    {                                                                                 \
        const T old = *target;                                                        \
        *target = expression;                                                         \
        return old;                                                                   \
    }
HOST_CUDA_ATOMIC(atomicAdd, (T)(old + value))
HOST_CUDA_ATOMIC(atomicSub, (T)(old - value))
HOST_CUDA_ATOMIC(atomicOr, old | value)
HOST_CUDA_ATOMIC(atomicAnd, old & value)
HOST_CUDA_ATOMIC(atomicXor, old ^ value)
HOST_CUDA_ATOMIC(atomicMin, value < old ? value : old)
HOST_CUDA_ATOMIC(atomicMax, old < value ? value : old)
HOST_CUDA_ATOMIC(atomicExch, value)
template <class T>
static T atomicCAS(T* target, typename HostCudaSame<T>::type expected, typename HostCudaSame<T>::type value)
{
    const T old = *target;
    if (old == expected)
        *target = value;
    return old;
}

// ---------------------------------------------------------------------- arithmetic built in
#define HOST_CUDA_MIN_MAX(T)                                       \
    static inline T min(T a, T b) { return b < a ? b : a; }        \
    static inline T max(T a, T b) { return a < b ? b : a; }
HOST_CUDA_MIN_MAX(int)
HOST_CUDA_MIN_MAX(unsigned int)
HOST_CUDA_MIN_MAX(long)
HOST_CUDA_MIN_MAX(unsigned long)
HOST_CUDA_MIN_MAX(long long)
HOST_CUDA_MIN_MAX(unsigned long long)
// NaN loses, as on the device.
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }

static inline int __popc(unsigned int x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned int)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned int __umulhi(unsigned int a, unsigned int b) { return (unsigned int)((unsigned long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline unsigned int __brev(unsigned int x)
{
    unsigned int reversed = 0;
    for (int i = 0; i < 32; ++i)
        reversed |= (x >> i & 1u) << (31 - i);
    return reversed;
}
static inline unsigned long long __brevll(unsigned long long x)
{
    return (unsigned long long)__brev((unsigned int)x) << 32 | __brev((unsigned int)(x >> 32));
}
static inline unsigned int __funnelshift_r(unsigned int low, unsigned int high, unsigned int shift)
{
    return (unsigned int)(((unsigned long long)high << 32 | low) >> (shift & 31));
}
static inline unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int shift)
{
    return (unsigned int)((((unsigned long long)high << 32 | low) << (shift & 31)) >> 32);
}
template <class T> static T __ldg(const T* source) { return *source; }

static inline double __dsqrt_rn(double x) { return sqrt(x); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned int x) { return (float)x; }
static inline int __float2int_rz(float x) { return (int)x; }
static inline unsigned int __float2uint_rz(float x) { return (unsigned int)x; }
static inline unsigned int __float_as_uint(float x) { unsigned int bits; memcpy(&bits, &x, 4); return bits; }
static inline float __uint_as_float(unsigned int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline long long __double_as_longlong(double x) { long long bits; memcpy(&bits, &x, 8); return bits; }
static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
static inline float __int_as_float(int bits) { return __uint_as_float((unsigned int)bits); }
