/* Holds src/musl/memory.c against loops that copy and compare byte by byte. The functions have other
 * names here, so that those of the C library are not replaced. */

#include <stdio.h>
#include <stdlib.h>

void *memory_copy(void *to, const void *from, size_t n);
void *memory_move(void *to, const void *from, size_t n);
int memory_compare(const void *one, const void *other, size_t n);
int memory_differ(const void *one, const void *other, size_t n);

#define MOST 3000

static void fail(const char *what, size_t n, size_t place) {
    printf("%s of %zu bytes, %zu\n", what, n, place);
    exit(1);
}

/* Of its own for each, and no longer, so that a sanitizer sees what is read or written outside. */
static unsigned char *filled(size_t n, unsigned first) {
    unsigned char *all = malloc(n);
    for (size_t at = 0; at < n; at++) all[at] = (unsigned char)(first + at * 7 + at / 251);
    return all;
}

static void copies(size_t n) {
    unsigned char *from = filled(n, 3), *to = filled(n, 200);
    if (memory_copy(to, from, n) != to) fail("the answer of a copy", n, 0);
    for (size_t at = 0; at < n; at++)
        if (to[at] != from[at]) fail("a copy", n, at);
    free(from);
    free(to);
}

static void moves(size_t n, size_t to, size_t from) {
    size_t length = n + (to > from ? to : from);
    unsigned char *all = filled(length, 5), *was = filled(length, 5);
    if (memory_move(all + to, all + from, n) != all + to) fail("the answer of a move", n, to);
    for (size_t at = 0; at < length; at++) {
        int is_moved = at >= to && at < to + n;
        if (all[at] != (is_moved ? was[at - to + from] : was[at])) fail("a move", n, at);
    }
    free(all);
    free(was);
}

static int sign(int number) { return (number > 0) - (number < 0); }

static void compares(size_t n) {
    unsigned char *one = filled(n, 9), *other = filled(n, 9);
    if (memory_compare(one, other, n) || memory_differ(one, other, n)) fail("equality", n, 0);
    for (size_t at = 0; at < n; at++) {
        unsigned char was = one[at];
        one[at] = 0x7f;
        other[at] = 0x80;
        /* What comes after the first difference does not count. */
        if (at + 1 < n) one[at + 1]++;
        if (sign(memory_compare(one, other, n)) != -1 || !memory_differ(one, other, n))
            fail("less", n, at);
        if (sign(memory_compare(other, one, n)) != 1) fail("more", n, at);
        if (at + 1 < n) one[at + 1]--;
        one[at] = other[at] = was;
    }
    free(one);
    free(other);
}

int main(void) {
    for (size_t n = 0; n < MOST; n += n < 200 ? 1 : 137) {
        copies(n);
        compares(n < 200 ? n : n / 10);
        for (size_t apart = 0; apart < 40; apart++) {
            moves(n, apart, 0);
            moves(n, 0, apart);
        }
        const size_t far[] = {47, 48, 49, 63, 64, 65, n / 2, n - 1, n, n + 1};
        for (size_t at = 0; n > 0 && at < sizeof far / sizeof *far; at++) {
            moves(n, far[at], 0);
            moves(n, 0, far[at]);
        }
    }
    for (size_t n = 1020; n < 1030; n++) {
        copies(n);
        for (size_t apart = 0; apart < n + 2; apart += 11) {
            moves(n, apart, 0);
            moves(n, 0, apart);
        }
    }
    return 0;
}
