/* Table: what was found for operands of these dtypes and shapes, looked up without making them
Python objects. Keys are exact: 1, 1.0 and True are three, and so are 0.0 and -0.0. */

#include "speedups.h"

#include <stdint.h>

enum { LONGEST_KEY = 64, SMALLEST = 16, MOST = 4096 };

typedef struct {
    Py_hash_t hash;
    PyObject *found; /* NULL: free */
    PyObject *attrs;
    PyObject *held; /* the dtypes whose addresses are in the key */
    Py_ssize_t length;
    intptr_t *key;
} Entry;

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Entry *entries;
    Py_ssize_t capacity, used;
    Py_ssize_t moves; /* how often entries have been given up or put elsewhere */
} Table;

typedef struct {
    intptr_t words[LONGEST_KEY];
    Py_ssize_t length;
    Py_hash_t hash;
} Key;

/* Whether operands and attributes can be a key, and then the key: 1, 0, or -1 with an error. */
static int read_key(PyObject *operands, PyObject *attrs, Key *key)
{
    if (!PyList_CheckExact(operands) || !PyTuple_CheckExact(attrs)) {
        PyErr_SetString(PyExc_TypeError, "Table: operands must be a list, attributes a tuple");
        return -1;
    }
    const Py_ssize_t count = PyList_GET_SIZE(operands);
    key->length = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *operand = PyList_GET_ITEM(operands, i);
        if (PyArray_CheckExact(operand)) {
            PyArrayObject *array = (PyArrayObject *)operand;
            const int ndim = PyArray_NDIM(array);
            if (key->length + ndim + 2 > LONGEST_KEY)
                return 0;
            key->words[key->length++] = (intptr_t)PyArray_DESCR(array);
            key->words[key->length++] = ndim;
            for (int axis = 0; axis < ndim; axis++)
                key->words[key->length++] = PyArray_DIM(array, axis);
        } else if (PyFloat_CheckExact(operand) || PyLong_CheckExact(operand)
                   || PyBool_Check(operand) || PyComplex_CheckExact(operand)) {
            if (key->length + 1 > LONGEST_KEY)
                return 0;
            key->words[key->length++] = (intptr_t)Py_TYPE(operand);
        } else {
            return 0;
        }
    }
    uint64_t hash = 14695981039346656037u;
    for (Py_ssize_t i = 0; i < key->length; i++) {
        hash = (hash ^ (uint64_t)key->words[i]) * 1099511628211u;
        hash ^= hash >> 29;
    }
    if (PyTuple_GET_SIZE(attrs)) {
        const Py_hash_t rest = PyObject_Hash(attrs);
        if (rest == -1) {
            if (!PyErr_ExceptionMatches(PyExc_TypeError))
                return -1;
            PyErr_Clear();
            return 0;
        }
        hash = (hash ^ (uint64_t)rest) * 1099511628211u;
        hash ^= hash >> 29;
    }
    key->hash = (Py_hash_t)hash;
    return 1;
}

/* Whether two attributes are the same in every respect: 1, 0, or -1 with an error. */
static int same(PyObject *a, PyObject *b)
{
    if (a == b)
        return 1;
    if (Py_TYPE(a) != Py_TYPE(b))
        return 0;
    if (PyTuple_CheckExact(a)) {
        if (PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b))
            return 0;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(a); i++) {
            const int alike = same(PyTuple_GET_ITEM(a, i), PyTuple_GET_ITEM(b, i));
            if (alike != 1)
                return alike;
        }
        return 1;
    }
    if (PyFloat_CheckExact(a)) {
        const double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
        return memcmp(&x, &y, sizeof x) == 0;
    }
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

/* The entry of a key, or the free one where it belongs; NULL with an error, or without one where
comparing attributes has run code that moved the entries. */
static Entry *locate(Table *self, const Key *key, PyObject *attrs)
{
    for (Py_ssize_t at = key->hash & (self->capacity - 1);; at = (at + 1) & (self->capacity - 1)) {
        Entry *entry = &self->entries[at];
        if (entry->found == NULL)
            return entry;
        if (entry->hash != key->hash || entry->length != key->length
            || memcmp(entry->key, key->words, sizeof(intptr_t) * key->length) != 0)
            continue;
        const Py_ssize_t moves = self->moves;
        PyObject *known = Py_NewRef(entry->attrs);
        const int alike = same(known, attrs);
        Py_DECREF(known);
        if (alike < 0 || self->moves != moves)
            return NULL;
        if (alike)
            return entry;
    }
}

static void empty(Table *self)
{
    Entry *entries = self->entries;
    const Py_ssize_t capacity = self->capacity;
    self->entries = NULL;
    self->capacity = self->used = 0;
    self->moves++;
    for (Py_ssize_t i = 0; i < capacity; i++) {
        Py_XDECREF(entries[i].found);
        Py_XDECREF(entries[i].attrs);
        Py_XDECREF(entries[i].held);
        PyMem_Free(entries[i].key);
    }
    PyMem_Free(entries);
}

/* Makes room for one more; a table that has grown too large starts again. */
static int make_room(Table *self)
{
    if (self->used >= MOST)
        empty(self);
    if (self->used * 2 < self->capacity)
        return 0;
    const Py_ssize_t capacity = self->capacity ? self->capacity * 2 : SMALLEST;
    Entry *entries = PyMem_Calloc(capacity, sizeof(Entry));
    if (entries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < self->capacity; i++) {
        if (self->entries[i].found == NULL)
            continue;
        Py_ssize_t at = self->entries[i].hash & (capacity - 1);
        while (entries[at].found != NULL)
            at = (at + 1) & (capacity - 1);
        entries[at] = self->entries[i];
    }
    PyMem_Free(self->entries);
    self->entries = entries;
    self->capacity = capacity;
    self->moves++;
    return 0;
}

static int takes(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s: takes %zd arguments, got %zd", name, wanted, given);
    return 0;
}

static PyObject *call_table(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Key key;
    if (names != NULL || !takes("Table", PyVectorcall_NARGS(nargsf), 2))
        return NULL;
    const int readable = read_key(args[0], args[1], &key);
    if (readable < 0)
        return NULL;
    if (!readable || ((Table *)self)->capacity == 0)
        Py_RETURN_NONE;
    const Entry *entry = locate((Table *)self, &key, args[1]);
    if (entry == NULL && PyErr_Occurred())
        return NULL;
    return Py_NewRef(entry == NULL || entry->found == NULL ? Py_None : entry->found);
}

static PyObject *dtypes_of(PyObject *operands)
{
    const Py_ssize_t count = PyList_GET_SIZE(operands);
    PyObject *held = PyTuple_New(count);
    for (Py_ssize_t i = 0; held != NULL && i < count; i++) {
        PyObject *operand = PyList_GET_ITEM(operands, i);
        const int is_array = PyArray_CheckExact(operand);
        PyObject *kept = is_array ? (PyObject *)PyArray_DESCR((PyArrayObject *)operand) : Py_None;
        PyTuple_SET_ITEM(held, i, Py_NewRef(kept));
    }
    return held;
}

static PyObject *add(Table *self, PyObject *const *args, Py_ssize_t count)
{
    Key key;
    if (!takes("add", count, 3))
        return NULL;
    const int readable = read_key(args[0], args[1], &key);
    if (readable < 0)
        return NULL;
    if (!readable)
        Py_RETURN_NONE;
    /* A new tuple may collect garbage, and so run code that moves the entries: it comes first. */
    PyObject *held = dtypes_of(args[0]);
    if (held == NULL)
        return NULL;
    Entry *entry = make_room(self) < 0 ? NULL : locate(self, &key, args[1]);
    if (entry == NULL || entry->found != NULL) {
        if (entry != NULL) /* another thread was first */
            Py_SETREF(entry->found, Py_NewRef(args[2]));
        Py_DECREF(held);
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    intptr_t *words = PyMem_Malloc(sizeof(intptr_t) * (key.length + 1));
    if (words == NULL) {
        Py_DECREF(held);
        return PyErr_NoMemory();
    }
    memcpy(words, key.words, sizeof(intptr_t) * key.length);
    *entry = (Entry){.hash = key.hash,
                     .found = Py_NewRef(args[2]),
                     .attrs = Py_NewRef(args[1]),
                     .held = held,
                     .length = key.length,
                     .key = words};
    self->used++;
    Py_RETURN_NONE;
}

static PyObject *new_table(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) || (kwargs != NULL && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Table: takes no arguments");
        return NULL;
    }
    Table *self = (Table *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->call = call_table;
    return (PyObject *)self;
}

static void free_table(Table *self)
{
    empty(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef methods[] = {
    {"add", (PyCFunction)(void (*)(void))add, METH_FASTCALL,
     "add(operands, attrs, found): keep what was found; not for operands that are no plain ones."},
    {NULL},
};

PyTypeObject TableType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Table",
    .tp_doc = "Table(): called with operands and attributes, it gives what was added for such.",
    .tp_basicsize = sizeof(Table),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Table, call),
    .tp_call = PyVectorcall_Call,
    .tp_methods = methods,
    .tp_new = new_table,
    .tp_dealloc = (destructor)free_table,
};
