/* Copying and comparing memory, in place of musl's functions of these names.
 *
 * musl copies with `rep movsq`, which takes longer to begin than most copies of this program take, and
 * compares byte by byte. These are for x86-64, where unaligned access is cheap and SSE2 is always there.
 * `memmove` has to be here too, since musl's jumps into its `memcpy`. */

#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t __attribute__((may_alias, aligned(1))) u64;
typedef uint32_t __attribute__((may_alias, aligned(1))) u32;
typedef uint16_t __attribute__((may_alias, aligned(1))) u16;

/* Bytes from which on the processor's own instruction is taken, which all that the package runs on have
 * in its fast form. */
#define LONG 1024

static __m128i load(const unsigned char *at) { return _mm_loadu_si128((const __m128i *)at); }

static void store(unsigned char *at, __m128i it) { _mm_storeu_si128((__m128i *)at, it); }

/* Copies up to 16 bytes, all of which are read before one is written. */
static inline __attribute__((always_inline)) void copy_short(unsigned char *to, const unsigned char *from, size_t n) {
    if (n >= 8) {
        uint64_t first = *(const u64 *)from, last = *(const u64 *)(from + n - 8);
        *(u64 *)to = first;
        *(u64 *)(to + n - 8) = last;
    } else if (n >= 4) {
        uint32_t first = *(const u32 *)from, last = *(const u32 *)(from + n - 4);
        *(u32 *)to = first;
        *(u32 *)(to + n - 4) = last;
    } else if (n >= 2) {
        uint16_t first = *(const u16 *)from, last = *(const u16 *)(from + n - 2);
        *(u16 *)to = first;
        *(u16 *)(to + n - 2) = last;
    } else if (n) {
        *to = *from;
    }
}

/* Copies more than 16 bytes from the first to the last. What is written lies before what is still to
 * be read, or apart from it. */
static void copy_forward(unsigned char *to, const unsigned char *from, size_t n) {
    __m128i last = load(from + n - 16);
    unsigned char *end = to + n - 16;
    for (; to < end; to += 16, from += 16) {
        store(to, load(from));
    }
    store(end, last);
}

/* The same from the last to the first. */
static void copy_backward(unsigned char *to, const unsigned char *from, size_t n) {
    __m128i first = load(from);
    size_t left = n;
    for (; left > 16; left -= 16) {
        store(to + left - 16, load(from + left - 16));
    }
    store(to, first);
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    if (n <= 16) {
        copy_short(to, from, n);
    } else if (n < LONG) {
        copy_forward(to, from, n);
    } else {
        void *at = to;
        __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    /* How far one lies after the other; a great distance if it lies before it. */
    uintptr_t after = (uintptr_t)to - (uintptr_t)from, before = (uintptr_t)from - (uintptr_t)to;
    if (n <= 16) {
        copy_short(to, from, n);
    } else if (after < n) {
        copy_backward(to, from, n);
    } else if (before < n) {
        copy_forward(to, from, n);
    } else {
        return memcpy(to, from, n);
    }
    return to;
}

int memcmp(const void *one, const void *other, size_t n) {
    const unsigned char *a = one, *b = other;
    for (; n >= 8; a += 8, b += 8, n -= 8) {
        uint64_t x = *(const u64 *)a, y = *(const u64 *)b;
        if (x != y) {
            return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
        }
    }
    for (; n; a++, b++, n--) {
        if (*a != *b) {
            return *a - *b;
        }
    }
    return 0;
}

int bcmp(const void *one, const void *other, size_t n) { return memcmp(one, other, n); }
