/* When the allocator gives back to the system what the program has freed.
 *
 * mimalloc waits for a second. In that time a catch-up frees several times what it has in memory, and not
 * all of it fits what is asked for next: see docs/performance.md. `MIMALLOC_PURGE_DELAY` in the
 * environment counts before this. */

#include <mimalloc.h>

/* Milliseconds. */
#define DELAY 50

/* Weak, as only the program itself has this allocator. */
#pragma weak mi_option_set_default

/* Whether mimalloc has read its environment by then depends on the compiler; what comes of it does not. */
static void __attribute__((constructor)) give_back_soon(void) {
    if (mi_option_set_default) {
        mi_option_set_default(mi_option_purge_delay, DELAY);
    }
}
