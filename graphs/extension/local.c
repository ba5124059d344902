/* Local: an object per thread, found in the time of a function call. */

#include "speedups.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *factory;
    uint64_t last;    /* the thread that called last, by a number that no later one has */
    PyObject *object; /* of that thread, whose dict has it as those of the others have theirs */
} Local;

static PyObject *find_or_make(Local *self, uint64_t thread)
{
    PyObject *held = PyThreadState_GetDict();
    if (held == NULL)
        return PyErr_NoMemory();
    PyObject *object = Py_XNewRef(PyDict_GetItemWithError(held, (PyObject *)self));
    if (object == NULL && !PyErr_Occurred()) {
        object = PyObject_CallNoArgs(self->factory);
        if (object != NULL && PyDict_SetItem(held, (PyObject *)self, object) < 0)
            Py_CLEAR(object);
    }
    if (object != NULL) {
        self->last = thread;
        Py_XSETREF(self->object, Py_NewRef(object));
    }
    return object;
}

static PyObject *call_local(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Local *self = (Local *)object;
    if (PyVectorcall_NARGS(nargsf) || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "Local: takes no arguments");
        return NULL;
    }
    const uint64_t thread = PyThreadState_Get()->id;
    if (thread == self->last && self->object != NULL)
        return Py_NewRef(self->object);
    return find_or_make(self, thread);
}

static PyObject *new_local(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"factory", NULL};
    PyObject *factory;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &factory))
        return NULL;
    Local *self = (Local *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_local;
    self->factory = Py_NewRef(factory);
    return (PyObject *)self;
}

static void free_local(Local *self)
{
    Py_CLEAR(self->factory);
    Py_CLEAR(self->object);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject LocalType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Local",
    .tp_doc = "Local(factory): called, it gives this thread's object, which `factory` makes once.",
    .tp_basicsize = sizeof(Local),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Local, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_local,
    .tp_dealloc = (destructor)free_local,
};
