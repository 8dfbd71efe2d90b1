/* What the files of the extension share. The whole of it in one picture:
 *
 *   method.c     takes the place of a method, and tries a shortcut first
 *   ready.c      what an async one gives then: a coroutine that is done
 *   shortcut.c   an evaluation without Python code in it: flag -> instance -> plan -> call -> learned answer
 *   plan.c       an evaluation context into the bytes of a Request
 *   call.c       one export of one instance, called by address
 *   module.c     the module, and where the package's own classes keep their attributes
 *
 * It holds no meaning of its own: whatever is not the plain case is declined, and then the package's Python code does
 * all of it (runtime/encode.py, pool/asking.py, evaluations.py). The GIL is held from the first line to the last.
 */
#ifndef PYFLAGWASM_NATIVE_H
#define PYFLAGWASM_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi.h"

#if defined(__GNUC__) || defined(__clang__)
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define LIKELY(x) (x)
#define UNLIKELY(x) (x)
#endif

/* wasmtime_func_call_unchecked and wasmtime_context_set_fuel, by the addresses that runtime/guest.py has probed. */
typedef void *(*UncheckedCall)(void *context, const void *func, void *cells, size_t count, void **trap);
typedef void *(*SetFuel)(void *context, uint64_t fuel);

/* ---------------------------------------------------------------- call.c */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    UncheckedCall call;
    SetFuel set_fuel;
    void *context;
    const void *evaluate;
    const void *evaluate_many;
    uint8_t *scratch;
    uint64_t fuel;
    PyObject *frame; /* portable.Frame: keeps the store, and makes an exception of a failure */
    int alive;
    uint32_t left; /* evaluations until fuel is set again */
} Call;

extern PyTypeObject CallType;

/* The packed decision of one flag for the request in scratch; 0, or -1 with GuestTrapError. */
int call_evaluate(Call *self, uint32_t flag, uint64_t *packed);

/* Decides the flags whose indexes are in the first `count` cells of the output area; 0, or -1 with an exception. */
int call_evaluate_many(Call *self, uint32_t count);

static inline uint64_t *call_cells(Call *self)
{
    return (uint64_t *)(void *)(self->scratch + ABI_SCRATCH_OUTPUT_OFFSET);
}

/* ---------------------------------------------------------------- plan.c */

typedef struct {
    uint32_t at;    /* where the slot's Value is written, from the start of the request */
    PyObject *key;  /* the attribute, or NULL if a reader finds the value */
    PyObject *also; /* its other name, or NULL */
    PyObject *rest; /* a tuple of keys to follow from there, or NULL */
    PyObject *read; /* reader: (context, now_us) -> value or MISSING */
    uint32_t taken; /* of which kinds, a bit each, the attribute is the value; for others the reader is asked */
    Py_ssize_t hint; /* where the key was in the last context: most contexts of a server are made alike */
    uint32_t missed; /* how often it was not there */
} Step;

typedef struct {
    PyObject_VAR_HEAD
    PyObject *prefix; /* bytes: header, defaults of all slots, an empty heap */
    uint32_t room;    /* bytes for the heap */
    int reads_now;    /* whether a reader may look at the clock */
    Step steps[1];
} Plan;

extern PyTypeObject PlanType;

#define PLAN_TAKES_ALL 0xFFFFFFFFu
#define PLAN_DECLINED (-1) /* the Python encoder has to do it; no exception is set */
#define PLAN_FAILED (-2)   /* something is raised that is no Exception */

/* Writes the request; its number of bytes, or one of the above. context: an exact dict, or NULL for an empty one. */
Py_ssize_t plan_write(Plan *self, PyObject *context, uint8_t *request, int64_t now_us);

/* The request as bytes, None if it is declined, or NULL with what is no Exception. context: any object. */
PyObject *plan_request(Plan *self, PyObject *context, int64_t now_us);

/* ---------------------------------------------------------------- module.c */

/* Offsets of `__slots__` attributes in the package's classes, as their descriptors say. */
typedef struct {
    Py_ssize_t generation_flags, generation_everything;
    Py_ssize_t selection_plan, selection_reads_now;
    Py_ssize_t flag_learned;
    Py_ssize_t member_generation, member_user, member_evaluate;
    Py_ssize_t encoded_whole;
    Py_ssize_t outcome_details, outcome_tally;
    Py_ssize_t tally_count;
    Py_ssize_t queue_waiters, queue_closed;
    PyTypeObject *generation, *selection, *flag, *member, *encoded, *outcome, *tally, *queue;
    PyObject *missing;     /* config.model.MISSING */
    PyObject *guest_error; /* errors.GuestError */
    PyObject *zero, *one;
} Words;

extern Words words;

static inline PyObject **slot_of(PyObject *owner, Py_ssize_t offset)
{
    return (PyObject **)(void *)((char *)owner + offset);
}

/* The offset of the `__slots__` attribute `name`; -1 with TypeError if there is none. */
Py_ssize_t slot_offset(PyTypeObject *type, const char *name);

/* ---------------------------------------------------------------- shortcut.c */

extern PyTypeObject ShortcutType;
extern PyTypeObject LearnedType;
extern PyTypeObject MethodType;
extern PyTypeObject ReadyType;

/* A coroutine that gives the value, whose reference it takes. */
PyObject *ready_new(PyObject *value);
extern PyObject *declined; /* what a shortcut returns instead of an answer */

#endif
