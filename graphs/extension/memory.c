/* What Python sees of blocks: kernels that use them, and how much memory they are. */

#include "speedups.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *kernel;
} OverBlocks;

static PyObject *call_over_blocks(PyObject *object, PyObject *const *args, size_t nargsf,
                                  PyObject *names)
{
    PyObject *before = PyDataMem_SetHandler(memory_handler);
    if (before == NULL)
        return NULL;
    PyObject *result = PyObject_Vectorcall(((OverBlocks *)object)->kernel, args, nargsf, names);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *ours = PyDataMem_SetHandler(before);
    Py_DECREF(before);
    if (type != NULL)
        PyErr_Restore(type, value, traceback);
    else if (ours == NULL)
        Py_CLEAR(result);
    Py_XDECREF(ours);
    return result;
}

static PyObject *new_over_blocks(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kernel", NULL};
    PyObject *kernel;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &kernel))
        return NULL;
    OverBlocks *self = (OverBlocks *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_over_blocks;
    self->kernel = Py_NewRef(kernel);
    return (PyObject *)self;
}

static void free_over_blocks(OverBlocks *self)
{
    Py_CLEAR(self->kernel);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject OverBlocksType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.OverBlocks",
    .tp_doc = "OverBlocks(kernel): a callable; the large arrays that NumPy makes in it are over "
              "blocks.",
    .tp_basicsize = sizeof(OverBlocks),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(OverBlocks, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_over_blocks,
    .tp_dealloc = (destructor)free_over_blocks,
};

PyObject *count_memory(PyObject *module, PyObject *resets_peaks)
{
    const int resets = PyObject_IsTrue(resets_peaks);
    if (resets < 0)
        return NULL;
    const MemoryCounts counts = memory_counts(resets);
    return Py_BuildValue("(nnnnnn)", (Py_ssize_t)counts.allocated,
                         (Py_ssize_t)counts.peak_allocated, (Py_ssize_t)counts.reserved,
                         (Py_ssize_t)counts.peak_reserved, (Py_ssize_t)counts.taken,
                         (Py_ssize_t)counts.reused);
}

PyObject *empty_cache(PyObject *module, PyObject *none)
{
    give_back_blocks();
    Py_RETURN_NONE;
}
