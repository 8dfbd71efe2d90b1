/* See shortcut.c. */
#ifndef PYFLAGWASM_SHORTCUT_H
#define PYFLAGWASM_SHORTCUT_H

#include "learned.h"

typedef struct {
    PyObject_HEAD
    PyObject *source;     /* whose attribute at `live` is the generation that answers, or None */
    Py_ssize_t live;
    PyObject *idle;       /* the list of idle instances */
    PyObject *queue;      /* who waits for one */
    PyObject *give_back;  /* what the owner does with one that comes back, when that is not plain */
    PyObject *discard;    /* and with one that trapped */
    PyObject *hooks;      /* a list: as long as it has members, everything is declined */
    PyObject *clock;
    PyObject *touched;    /* where a tally goes that counts again, or NULL if nothing is counted */
    PyObject *heed;       /* NULL: nothing. A weak reference: decline unless that event loop is running. Else decline */
    PyObject *running;    /* the function that tells the running event loop */
} Shortcut;

/* What is given of an answer. */
typedef enum { VALUE, DETAILS } Wanted;

/* The value or the details of one flag, or `declined`; NULL with an exception: GuestTrapError, after which the instance is
 * gone, or what is no Exception. encoded: in place of a context, or NULL. */
PyObject *shortcut_answer(Shortcut *self, PyObject *key, PyObject *context, PyObject *encoded, PyObject *fallback,
                          Wanted wanted);

/* Whether the event loop that it heeds is running. */
int shortcut_attended(Shortcut *self);

/* The clock in microseconds as asking.microseconds has it: 1, 0 to decline, -1 with what is no Exception. */
int shortcut_read_clock(Shortcut *self, int64_t *now_us);

PyObject *shortcut_encode(Shortcut *self, PyObject *context);
PyObject *shortcut_many(Shortcut *self, PyObject *const *args, Py_ssize_t count);

#endif
