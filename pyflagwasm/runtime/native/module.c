/* The module `pyflagwasm.runtime._native`, and where the package's classes keep the attributes that it reads.
 *
 * Attributes in `__slots__` lie at a fixed offset in each object, which their descriptors tell, and the interpreter
 * itself reads them so. A class that has lost one of them makes `setup` fail, not an evaluation.
 */
#include "native.h"

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#endif

/* What the build was made of: a digest that hatch_build.py gives. */
#ifndef PYFLAGWASM_SOURCES
#define PYFLAGWASM_SOURCES ""
#endif

Words words;

Py_ssize_t slot_offset(PyTypeObject *type, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (found == NULL)
        return -1;
    Py_ssize_t offset = -1;
    if (Py_TYPE(found) == &PyMemberDescr_Type && PyType_IsSubtype(type, PyDescr_TYPE(found)))
        offset = ((PyMemberDescrObject *)found)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "%s.%s is not in __slots__", type->tp_name, name);
    Py_DECREF(found);
    return offset;
}

typedef struct {
    const char *type, *attribute;
    Py_ssize_t *offset;
    PyTypeObject **known;
} Needed;

static const Needed needed[] = {
    {"generation", "flags", &words.generation_flags, &words.generation},
    {"generation", "_everything", &words.generation_everything, &words.generation},
    {"selection", "plan", &words.selection_plan, &words.selection},
    {"selection", "reads_now", &words.selection_reads_now, &words.selection},
    {"flag", "learned", &words.flag_learned, &words.flag},
    {"member", "generation", &words.member_generation, &words.member},
    {"member", "user", &words.member_user, &words.member},
    {"member", "evaluate", &words.member_evaluate, &words.member},
    {"encoded", "whole", &words.encoded_whole, &words.encoded},
    {"outcome", "details", &words.outcome_details, &words.outcome},
    {"outcome", "tally", &words.outcome_tally, &words.outcome},
    {"tally", "count", &words.tally_count, &words.tally},
    {"queue", "_waiters", &words.queue_waiters, &words.queue},
    {"queue", "closed", &words.queue_closed, &words.queue},
};

static PyObject *setup(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || kwargs == NULL) {
        PyErr_SetString(PyExc_TypeError, "setup takes classes by keyword");
        return NULL;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        PyObject *type = PyDict_GetItemString(kwargs, needed[i].type);
        if (type == NULL || !PyType_Check(type)) {
            PyErr_Format(PyExc_TypeError, "setup needs the class %s", needed[i].type);
            return NULL;
        }
        *needed[i].offset = slot_offset((PyTypeObject *)type, needed[i].attribute);
        if (*needed[i].offset < 0)
            return NULL;
        Py_XSETREF(*needed[i].known, (PyTypeObject *)Py_NewRef(type));
    }
    PyObject *missing = PyDict_GetItemString(kwargs, "missing"), *error = PyDict_GetItemString(kwargs, "guest_error");
    if (missing == NULL || error == NULL) {
        PyErr_SetString(PyExc_TypeError, "setup needs missing and guest_error");
        return NULL;
    }
    Py_XSETREF(words.missing, Py_NewRef(missing));
    Py_XSETREF(words.guest_error, Py_NewRef(error));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"setup", (PyCFunction)(void (*)(void))setup, METH_VARARGS | METH_KEYWORDS,
     "setup(*, generation, selection, flag, member, encoded, outcome, tally, queue, missing, guest_error): the "
     "classes whose attributes are read, what a view gives for nothing, and what a trap raises."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyflagwasm.runtime._native",
    .m_doc = "The hot path in C. What it declines, the package's Python code does.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyTypeObject *types[] = {&CallType, &PlanType, &LearnedType, &ShortcutType, &MethodType, &ReadyType};
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(module, types[i]) < 0)
            goto failed;
    declined = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    words.zero = PyLong_FromLong(0);
    words.one = PyLong_FromLong(1);
    PyObject *fingerprint = PyLong_FromUnsignedLongLong(ABI_FINGERPRINT);
    int added = declined != NULL && words.zero != NULL && words.one != NULL && fingerprint != NULL &&
                PyModule_AddObjectRef(module, "declined", declined) == 0 &&
                PyModule_AddObjectRef(module, "FINGERPRINT", fingerprint) == 0 &&
                PyModule_AddStringConstant(module, "SOURCES", PYFLAGWASM_SOURCES) == 0;
    Py_XDECREF(fingerprint);
    if (added)
        return module;
failed:
    Py_DECREF(module);
    return NULL;
}
