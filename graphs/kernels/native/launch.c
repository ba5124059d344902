/* Entering a step from Python with as little as possible between: the addresses of the arrays of a
 * run are read from a tuple of NumPy arrays. */
#include "runtime.h"

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
