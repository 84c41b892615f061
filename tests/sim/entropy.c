// The randomness of a simulated process: a function of its seed. Preloaded into the process of each seed, it stands before the
// C library's function, from which hash keys, election timeouts, operation ids and the scheduler's choices all come.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

static uint64_t state;
static int begun;

static uint64_t next(void) {
    uint64_t z;
    if (!begun) {
        const char *seed = getenv("QUORATE_SIM_SEED");
        state = seed ? strtoull(seed, NULL, 10) : 0;
        begun = 1;
    }
    z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags) {
    unsigned char *bytes = buffer;
    size_t at;
    (void)flags;
    for (at = 0; at < length; at++) {
        bytes[at] = (unsigned char)next();
    }
    return (ssize_t)length;
}
