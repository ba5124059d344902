/* The extension: what Python cannot say as fast, each with a twin in Python where it is used. */

#define DIPTYCH_IMPORTS_NUMPY
#include "speedups.h"

/* A class in Python finds the methods of its operators by name at each call, also those that it
inherits from a compiled base, whose slots could be called at once: here it takes these over. */
static PyObject *adopt_operators(PyObject *module, PyObject *args)
{
    PyTypeObject *kind, *base;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &kind, &PyType_Type, &base))
        return NULL;
    const PyNumberMethods *from = base->tp_as_number;
    if (!(kind->tp_flags & Py_TPFLAGS_HEAPTYPE) || !PyType_IsSubtype(kind, base) || from == NULL) {
        PyErr_Format(PyExc_TypeError, "adopt_operators: must be a class and its base, got %R, %R",
                     kind, base);
        return NULL;
    }
    PyNumberMethods *to = kind->tp_as_number;
    to->nb_add = from->nb_add;
    to->nb_subtract = from->nb_subtract;
    to->nb_multiply = from->nb_multiply;
    to->nb_true_divide = from->nb_true_divide;
    to->nb_matrix_multiply = from->nb_matrix_multiply;
    to->nb_negative = from->nb_negative;
    PyType_Modified(kind);
    Py_RETURN_NONE;
}

/* Whether arrays lie as C code reads them, and nobody else's memory is shown by them. */
static PyObject *are_plain(PyObject *module, PyObject *arrays)
{
    if (!PyList_CheckExact(arrays)) {
        PyErr_Format(PyExc_TypeError, "are_plain: must be a list of arrays, got %R", arrays);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(arrays); i++) {
        PyArrayObject *array = (PyArrayObject *)PyList_GET_ITEM(arrays, i);
        if (!PyArray_CheckExact(array) || !PyArray_ISCARRAY(array)
            || !PyArray_CHKFLAGS(array, NPY_ARRAY_OWNDATA))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

static PyMethodDef methods[] = {
    {"are_plain", are_plain, METH_O,
     "are_plain(arrays): whether each is NumPy's own, in memory of its own without gaps."},
    {"adopt_operators", adopt_operators, METH_VARARGS,
     "adopt_operators(kind, base): let a class call its compiled base's operators directly."},
    {"count_memory", count_memory, METH_O,
     "count_memory(resets_peaks): what `MemoryStats` holds, before the peaks begin anew."},
    {"empty_cache", empty_cache, METH_NOARGS, "empty_cache(): give back all blocks that wait."},
    {"reduce", reduce, METH_VARARGS,
     "reduce(ufunc, x, out, (outer, folds, kept, row)): reduce folds and rows of a dense array on "
     "threads of the pool; whether it is done."},
    {"use_pool", use_pool, METH_VARARGS,
     "use_pool(address): the pool of threads is the one that the C function `dt_run` there has."},
    {"set_pool_threads", set_pool_threads, METH_VARARGS,
     "set_pool_threads(count): on how many threads of the pool large loops run."},
    {"run", (PyCFunction)(void (*)(void))run_step, METH_FASTCALL,
     "run(step, threads, *operands): run a step, given its address, on arrays, bytes and None, on "
     "threads of the pool; whether it accepted the data."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "diptych.graphs.speedups",
    .m_doc = "Inner loops of ufuncs and matmul, sweeps of them, views, memory, tables by shape, "
             "objects per thread, a pool of threads, and entries of steps.",
    .m_size = -1,
    .m_methods = methods,
};

static int add(PyObject *module, const char *name, PyObject *object)
{
    const int failed = object == NULL ? -1 : PyModule_AddObjectRef(module, name, object);
    Py_XDECREF(object);
    return failed;
}

PyMODINIT_FUNC PyInit_speedups(void)
{
    import_array();
    import_umath();
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddType(module, &LoopType) < 0 || PyModule_AddType(module, &TableType) < 0
        || PyModule_AddType(module, &LocalType) < 0 || PyModule_AddType(module, &EntryType) < 0
        || PyModule_AddType(module, &OverBlocksType) < 0
        || PyModule_AddType(module, &ProductType) < 0
        || PyModule_AddType(module, &SweepType) < 0 || PyModule_AddType(module, &ViewType) < 0
        || PyModule_AddType(module, &SumType) < 0 || PyModule_AddType(module, &JoinType) < 0
        || start_blocks() < 0 || find_functions() < 0
        || add(module, "select", make_select()) < 0 || add(module, "sigmoid", make_sigmoid()) < 0
        || add(module, "relu", make_relu()) < 0
        || PyModule_AddIntMacro(module, MOST_AXES) < 0
        || PyModule_AddIntMacro(module, MOST_JOINED) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
