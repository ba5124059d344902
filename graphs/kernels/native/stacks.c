/* Stacks: memory that grows while a step runs, for what loops keep of uncounted rounds. */
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

#define LINE 64 /* bytes: what begins with a line is read in whole vectors */

int dt_grow(dt_stack *stack, dt_int count, dt_int size) {
    dt_int needed, bytes;
    stack->count = count;
    if (__builtin_add_overflow(count, 1, &needed) ||
        __builtin_mul_overflow(needed, size, &needed)) return 0;
    if (needed <= stack->bytes) return 1;
    /* Twice as much each time: however many rounds there are, each entry is moved about once. */
    if (__builtin_mul_overflow(needed, 2, &bytes) ||
        __builtin_add_overflow(bytes, LINE - 1, &bytes)) return 0;
    bytes -= bytes % LINE;
    char *entries = aligned_alloc(LINE, (size_t)bytes);
    if (!entries) return 0;
    if (stack->bytes) memcpy(entries, stack->entries, (size_t)stack->bytes);
    free(stack->entries);
    stack->entries = entries;
    stack->bytes = bytes;
    return 1;
}

void dt_release(dt_stack *stack) {
    if (stack->bytes) free(stack->entries);
    *stack = (dt_stack){0};
}
