/* What the files of this extension share: Python, NumPy, and the types that they define. */

#ifndef DIPTYCH_SPEEDUPS_H
#define DIPTYCH_SPEEDUPS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL diptych_speedups_array
#define PY_UFUNC_UNIQUE_SYMBOL diptych_speedups_ufunc
#ifndef DIPTYCH_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include "../kernels/native/runtime.h"

extern PyTypeObject LoopType, TableType, LocalType, EntryType, OverBlocksType, ProductType,
    SweepType, ViewType, SumType, JoinType;

enum { MOST_AXES = 8, MOST_JOINED = 64 }; /* of what is worked out for shapes */

/* Reads a tuple of whole numbers (views.c); how many there are, or -1 with an error. */
int read_sizes(PyObject *tuple, npy_intp *sizes, int most);

/* -- memory of large arrays (blocks.c) -------------------------------------------------------- */

typedef struct {
    size_t allocated, peak_allocated; /* bytes of arrays that are alive */
    size_t reserved, peak_reserved;   /* bytes of the system, for these and for what waits */
    size_t taken, reused;             /* blocks: given to arrays, and how many were not new */
} MemoryCounts;

extern PyObject *memory_handler; /* for PyDataMem_SetHandler */

int start_blocks(void); /* -1 with an error */
MemoryCounts memory_counts(int resets_peaks);
void give_back_blocks(void);
PyObject *new_array(int type, int ndim, npy_intp *shape);

PyObject *count_memory(PyObject *module, PyObject *resets_peaks);
PyObject *empty_cache(PyObject *module, PyObject *none);

/* `dt_run` of the library of native kernels, NULL where it was not built with the package; and on
how many threads it is to run. */
extern int (*run_on_pool)(dt_step step, char *const *pointers, int threads);
extern int pool_threads;

PyObject *make_select(void);

/* ufuncs of NumPy's loops (functions.c), which `find_functions` looks up: -1 with an error. */
int find_functions(void);
PyObject *make_sigmoid(void);
PyObject *make_relu(void);

enum { RELEASES_GIL = 8192 }; /* elements of a loop that lets other threads run Python */

/* On how many of them a loop over so many elements is to run (loops.c). */
int threads_for(npy_intp size);

/* A ufunc's inner loop for so many types, of which the last is the result's, NULL where there is
none; and, unless `context` is NULL, what the loop is called with. */
PyUFuncGenericFunction loop_of(const PyUFuncObject *ufunc, int count, const int *types,
                               void **context);

PyObject *reduce(PyObject *module, PyObject *args);
PyObject *use_pool(PyObject *module, PyObject *args);
PyObject *set_pool_threads(PyObject *module, PyObject *args);
PyObject *run_step(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
