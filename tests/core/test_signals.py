"""Signals become requests that long work looks at.

They are raised in this very thread: sent to the process, another thread may take them, and the handler runs too late.
"""

from __future__ import annotations

import signal
import threading

import pytest
from support import run_python

from tfday7.core.errors import Interrupted
from tfday7.core.signals import stop_at_once_on_sigterm, stop_requests


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_sets_the_request_with_the_shells_exit_code(number: signal.Signals, code: int) -> None:
    with stop_requests() as request:
        assert not request
        signal.raise_signal(number)
        assert request
        assert request.exit_code == code == 128 + number


def test_a_second_ctrl_c_stops_at_once() -> None:
    with stop_requests() as request:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert request.exit_code == 130


def test_a_second_sigterm_stops_at_once_with_its_own_code() -> None:
    with stop_requests():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as stopped:
            signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_code == 143


def test_the_handlers_of_before_come_back_even_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), stop_requests():
        raise RuntimeError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_of_the_main_thread_no_handler_is_set() -> None:
    before, inside = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_requests() as request:
            inside.append((bool(request), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [(False, before)]


def test_sigterm_without_a_listener_unwinds_with_143() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        stop_at_once_on_sigterm()
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught.value.exit_code == 143


ENDING = """
import os, signal, sys, time
from tfday7.core.signals import end_by_signals
from tfday7.cli import Command
import atexit

def late():
    os.kill(os.getpid(), signal.{name})
    time.sleep(5)

atexit.register(late)
Command.run(type("C", (), {{"execute": lambda self, main, argv: 0}})(), None)
"""
LOST = """
import ctypes, os, signal, time
from tfday7.core import signals
from tfday7.core.errors import Interrupted

def receive():
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.1)

class Kept:
    def __del__(self):
        receive()

class Asked:
    def __getattr__(self, name):
        receive()

def ignored():
    kept = Kept()
    del kept

def dropped():
    assert not ctypes.pythonapi.PyObject_HasAttrString(ctypes.py_object(Asked()), b"missing")

signals.stop_at_once_on_sigterm()
signals.lose_no_signals()
try:
    {where}()
    time.sleep(5)
    print("lost")
except (Interrupted, KeyboardInterrupt) as stopped:
    time.sleep(0.5)
    print(isinstance(stopped, Interrupted))
signals.end_by_signals()
time.sleep(0.5)
"""
CLEANING = """
import os, signal, time
from tfday7.cli import Command

def work(self, main, argv):
    from tfday7.core.signals import stop_at_once_on_sigterm
    stop_at_once_on_sigterm()
    try:
        try:
            os.kill(os.getpid(), signal.{name})
            time.sleep(5)
        finally:
            time.sleep(0.5)
            print("cleaned")
    except BaseException:
        return 7

Command.run(type("C", (), {{"execute": work}})(), None)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_in_the_last_moments_ends_the_process_without_a_word(name: str) -> None:
    ended = run_python("-c", ENDING.format(name=name))
    assert ended.code == -getattr(signal, name)
    assert ended.err == ""


@pytest.mark.parametrize("where", ["ignored", "dropped"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_whose_exception_gets_lost_is_not_lost(name: str, where: str) -> None:
    ended = run_python("-c", LOST.format(name=name, where=where))
    assert (ended.out, ended.err) == (f"{name == 'SIGTERM'}\n", "")
    assert ended.code == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_was_heard_is_not_sent_again(name: str) -> None:
    ended = run_python("-c", CLEANING.format(name=name))
    assert (ended.out, ended.err, ended.code) == ("cleaned\n", "", 7)
