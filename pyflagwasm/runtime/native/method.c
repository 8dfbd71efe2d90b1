/* Methods that try a shortcut first: `Method(owner, slow, failed, is_async, wanted, bound)` takes the place of `slow` in
 * its class.
 *
 * It is called as `slow` would be, looks for `_shortcut` in the object, and gives what that answers; an async method
 * evaluates when it is called, and gives a coroutine that is done. Whatever is declined, and every call that it does
 * not understand, goes to `slow` with the arguments as they came; after a trap `failed` is called with the error first.
 */
#include "shortcut.h"

#define MOST 3 /* flag_key, context, default */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *slow, *failed;
    PyObject *dict; /* what functools.update_wrapper puts there */
    PyTypeObject *owner;
    PyTypeObject *seen; /* the last that was found to be one, or a subclass */
    Py_ssize_t shortcut, encoded; /* offsets in the owner; encoded is -1 for a method that takes a context */
    Wanted wanted;
    int is_async;
} Method;

static PyObject *names[MOST]; /* interned */

/* Puts the arguments after the object into their places; 0 if `slow` has to look at them. */
static inline int parse(Method *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **places)
{
    Py_ssize_t most = self->encoded < 0 ? MOST : MOST - 1;
    if (UNLIKELY(count < 2 || count > most + 1))
        return 0;
    for (Py_ssize_t i = 1; i < count; i++)
        places[i - 1] = args[i];
    if (self->encoded >= 0) { /* flag_key, default */
        places[2] = count == 3 ? args[2] : Py_None;
        places[1] = Py_None;
    }
    if (keywords == NULL)
        return 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        if (keyword == names[2] && count < most + 1)
            places[2] = args[count + i];
        else if (keyword == names[1] && count == 2 && self->encoded < 0)
            places[1] = args[count + i];
        else
            return 0; /* strict, too */
    }
    return 1;
}

static inline int is_owner(Method *self, PyObject *object)
{
    if (LIKELY(Py_TYPE(object) == self->seen))
        return 1;
    if (!PyObject_TypeCheck(object, self->owner))
        return 0;
    Py_XSETREF(self->seen, (PyTypeObject *)Py_NewRef(Py_TYPE(object)));
    return 1;
}

static PyObject *after_a_trap(Method *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    Py_ssize_t all = count + (keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords));
    PyObject **more = PyMem_Malloc((size_t)(all + 1) * sizeof *more), *found = NULL;
    if (more != NULL) {
        more[0] = error;
        memcpy(more + 1, args, (size_t)all * sizeof *more);
        found = PyObject_Vectorcall(self->failed, more, (size_t)count + 1, keywords);
        PyMem_Free(more);
    } else {
        PyErr_NoMemory();
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return found;
}

static PyObject *method_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    Method *self = (Method *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyObject *places[MOST] = {NULL, Py_None, Py_None};
    if (LIKELY(parse(self, args, count, keywords, places)) && LIKELY(is_owner(self, args[0]))) {
        PyObject *shortcut = *slot_of(args[0], self->shortcut);
        if (LIKELY(shortcut != NULL && Py_TYPE(shortcut) == &ShortcutType)) {
            PyObject *encoded = self->encoded < 0 ? NULL : *slot_of(args[0], self->encoded);
            Py_XINCREF(encoded); /* another thread may put a newer one in its place while a clock runs */
            PyObject *found =
                self->encoded >= 0 && encoded == NULL
                    ? Py_NewRef(declined)
                    : shortcut_answer((Shortcut *)shortcut, places[0], places[1], encoded, places[2], self->wanted);
            Py_XDECREF(encoded);
            if (UNLIKELY(found == NULL)) /* or what a signal handler has raised */
                return PyErr_ExceptionMatches(words.guest_error) ? after_a_trap(self, args, count, keywords) : NULL;
            if (LIKELY(found != declined))
                return self->is_async ? ready_new(found) : found;
            Py_DECREF(found);
        }
    }
    return PyObject_Vectorcall(self->slow, args, nargsf, keywords);
}

static PyObject *method_get(PyObject *self, PyObject *object, PyObject *Py_UNUSED(type))
{
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

static PyObject *method_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"owner", "slow", "failed", "is_async", "wanted", "bound", NULL};
    PyObject *owner, *slow, *failed;
    const char *wanted;
    int is_async, bound;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OOpsp", keywords, &PyType_Type, &owner, &slow, &failed, &is_async,
                                     &wanted, &bound))
        return NULL;
    static const char *const texts[MOST] = {"flag_key", "context", "default"};
    for (int i = 0; i < MOST; i++)
        if (names[i] == NULL && (names[i] = PyUnicode_InternFromString(texts[i])) == NULL)
            return NULL;
    Py_ssize_t shortcut = slot_offset((PyTypeObject *)owner, "_shortcut"), encoded = -1;
    if (shortcut < 0 || (bound && (encoded = slot_offset((PyTypeObject *)owner, "_encoded")) < 0))
        return NULL;
    Method *self = (Method *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = method_vectorcall;
    self->owner = (PyTypeObject *)Py_NewRef(owner);
    self->slow = Py_NewRef(slow);
    self->failed = Py_NewRef(failed);
    self->is_async = is_async;
    self->shortcut = shortcut;
    self->encoded = encoded;
    self->wanted = strcmp(wanted, "details") == 0 ? DETAILS : VALUE;
    return (PyObject *)self;
}

static int method_traverse(Method *self, visitproc visit, void *arg)
{
    Py_VISIT(self->owner);
    Py_VISIT(self->seen);
    Py_VISIT(self->slow);
    Py_VISIT(self->failed);
    Py_VISIT(self->dict);
    return 0;
}

static int method_clear(Method *self)
{
    Py_CLEAR(self->dict);
    return 0;
}

static void method_dealloc(Method *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->seen);
    Py_CLEAR(self->slow);
    Py_CLEAR(self->failed);
    Py_CLEAR(self->dict);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *method_repr(Method *self)
{
    return PyUnicode_FromFormat("<shortcut to %R>", self->slow);
}

static PyGetSetDef method_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject MethodType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Method",
    .tp_basicsize = sizeof(Method),
    .tp_dealloc = (destructor)method_dealloc,
    .tp_repr = (reprfunc)method_repr,
    .tp_traverse = (traverseproc)method_traverse,
    .tp_clear = (inquiry)method_clear,
    .tp_vectorcall_offset = offsetof(Method, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_descr_get = method_get,
    .tp_getset = method_getset,
    .tp_dictoffset = offsetof(Method, dict),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_new = method_new,
};
