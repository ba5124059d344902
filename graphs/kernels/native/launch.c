/* Entering a step from Python with as little as possible between: the addresses of the arrays of a
 * run are read from a tuple of NumPy arrays. */
#include <time.h>

#include "runtime.h"

const int dt_tile_sizes[2] = {DT_VECTOR, DT_ROWS};

typedef struct dt_launch {
    dt_step step;
    char **pointers;
    const dt_int *places; /* among the pointers, of each array of a run */
    dt_int count;
    dt_int items; /* bytes before the first item of a tuple */
    dt_int data;  /* bytes before the address of an array's elements */
    int threads;
} dt_launch;

int dt_enter(dt_launch *launch, const char *arrays) {
    char *const *array = (char *const *)(arrays + launch->items);
    for (dt_int i = 0; i < launch->count; ++i) {
        launch->pointers[launch->places[i]] = *(char **)(array[i] + launch->data);
    }
    return dt_run(launch->step, launch->pointers, launch->threads);
}

/* -- loops that may never end ----------------------------------------------------------------
 *
 * What asks is Python's own: it must hold Python's lock to run the handlers of signals. */

typedef struct dt_python {
    int (*ensure)(void);   /* PyGILState_Ensure */
    void (*release)(int);  /* PyGILState_Release */
    int (*check)(void);    /* PyErr_CheckSignals */
    void (*fetch)(void **, void **, void **); /* PyErr_Fetch */
} dt_python;

static dt_python python;
void *dt_raised[3]; /* by the handler of a signal: type, value, traceback, for PyErr_Restore */
static _Thread_local int64_t asked; /* when this thread asked last, in nanoseconds */

void dt_set_python(const dt_python *functions) { python = *functions; }

void dt_heed(dt_team *team, int thread) {
    if (thread || !python.ensure) return;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now = t.tv_sec * 1000000000LL + t.tv_nsec;
    if (now - asked < 50000000) return;
    asked = now;
    const int state = python.ensure();
    if (python.check()) {
        python.fetch(&dt_raised[0], &dt_raised[1], &dt_raised[2]);
        __atomic_store_n(&team->failed, DT_INTERRUPTED, __ATOMIC_RELAXED);
    }
    python.release(state);
}

int dt_ends(dt_team *team, int thread) {
    dt_barrier(team);
    dt_heed(team, thread);
    dt_barrier(team);
    const int ends = team->failed;
    dt_barrier(team); /* from here on somebody may refuse data */
    return ends;
}
