"""Interrupts a work at chosen moments, found by what it calls and not by the clock."""

import os
import signal
import sys

import numpy as np

import skmcdropout

PACKAGE = os.path.dirname(skmcdropout.__file__) + os.sep


def moments(work, n, within=PACKAGE):
    """`n` moments of a work, spread evenly over what it goes through.

    A moment is the first call of a function, or its last one, in files whose names
    begin with `within` (or one of these). It is told by the function's code and the
    number of its calls that come before. The first moment of all and the last are
    among them.
    """
    calls, n_calls = [], {}

    def note(frame, event, argument):
        code = frame.f_code
        if event != "call" or code.co_filename == __file__:
            return
        if code.co_name == "<genexpr>":  # Python drops what is raised as one is closed
            return
        if code.co_filename.startswith(within):
            calls.append((code, n_calls.get(code, 0)))
            n_calls[code] = n_calls.get(code, 0) + 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    ends = [(code, i) for code, i in calls if i in (0, n_calls[code] - 1)]
    return [ends[i] for i in np.linspace(0, len(ends) - 1, n).round().astype(int)]


def raise_interrupt():
    """The interrupt comes at once, whatever goes on."""
    raise KeyboardInterrupt


def send_interrupt():
    """The interrupt comes as Ctrl-C sends it: held back where it has to be."""
    signal.raise_signal(signal.SIGINT)


def interrupt(work, moment, send=send_interrupt):
    """Does a work that is interrupted at a moment; whether the interrupt ended it.

    It does not if the work never comes to this moment, or if the interrupt is lost:
    Python only warns of what is raised while an object is finalized, and TensorFlow
    drops what is raised by some functions that it calls.
    """
    chosen, n_before = moment
    sent = []

    def watch(frame, event, argument):
        nonlocal n_before
        if event == "call" and frame.f_code is chosen and not sent:
            if n_before == 0:
                sent.append(1)
                send()
            n_before -= 1

    hook, handler = sys.unraisablehook, signal.getsignal(signal.SIGINT)
    sys.unraisablehook = lambda unraisable: None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.setprofile(watch)
        try:
            work()
        finally:
            sys.setprofile(None)
        has_ended_it = False
    except KeyboardInterrupt:
        has_ended_it = True
    finally:
        handler_after = signal.signal(signal.SIGINT, handler)
        sys.unraisablehook = hook
    assert handler_after is signal.default_int_handler, "the work must restore it"
    return has_ended_it
