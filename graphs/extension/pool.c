/* The pool of threads of the library of native kernels, and calls of its steps from Python. */

#include "speedups.h"

enum { MOST_POINTERS = 24 };

int (*run_on_pool)(dt_step step, char *const *pointers, int threads);
int pool_threads = 1;

PyObject *use_pool(PyObject *module, PyObject *args)
{
    Py_ssize_t address;
    if (!PyArg_ParseTuple(args, "n", &address))
        return NULL;
    run_on_pool = (int (*)(dt_step, char *const *, int))address;
    Py_RETURN_NONE;
}

PyObject *set_pool_threads(PyObject *module, PyObject *args)
{
    if (!PyArg_ParseTuple(args, "i", &pool_threads))
        return NULL;
    Py_RETURN_NONE;
}

/* What a step is handed for an operand: the elements of an array, the content of bytes, NULL for
None. Whether C may read it as it lies; below 0 with an exception. */
static int find_pointer(PyObject *operand, char **found)
{
    int readable = 1;
    if (PyArray_Check(operand)) {
        *found = PyArray_BYTES((PyArrayObject *)operand);
        readable = PyArray_ISBEHAVED_RO((PyArrayObject *)operand);
    } else if (PyBytes_Check(operand)) {
        *found = PyBytes_AS_STRING(operand);
    } else if (operand == Py_None) {
        *found = NULL;
    } else {
        PyErr_Format(PyExc_TypeError, "run: operands must be arrays, bytes or None, got %R",
                     (PyObject *)Py_TYPE(operand));
        return -1;
    }
    return readable;
}

PyObject *run_step(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    char *pointers[MOST_POINTERS];
    if (run_on_pool == NULL || count < 2 || count > MOST_POINTERS + 2) {
        PyErr_Format(PyExc_TypeError,
                     "run: must have a pool, a step, threads and up to %d operands", MOST_POINTERS);
        return NULL;
    }
    const dt_step step = (dt_step)PyLong_AsVoidPtr(args[0]);
    const int threads = (int)PyLong_AsLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    for (Py_ssize_t i = 2; i < count; i++) {
        const int readable = find_pointer(args[i], &pointers[i - 2]);
        if (readable < 0)
            return NULL;
        if (!readable)
            Py_RETURN_FALSE;
    }
    int refused;
    Py_BEGIN_ALLOW_THREADS
    refused = run_on_pool(step, pointers, threads);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(!refused);
}
