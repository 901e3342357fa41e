"""Calls a function of the user's own, named as python:MODULE:FUNCTION; the one kind of code that is run on request."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError

PREFIX = "python:"


def find_function(given: str, flag: str) -> Callable[..., Any]:
    """Returns the function that python:MODULE:FUNCTION names.

    Args:
        given: the value of the flag.
        flag: its name, for errors.

    Raises:
        UserError: it is not of that form, the module cannot be imported, or it has no such function.
    """
    check_form(given, flag)
    _, module_name, name = given.split(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        message = f"--{flag}={given}: cannot import {module_name} ({describe(error)})"
        raise UserError(message, "is the folder on PYTHONPATH?") from error
    function = getattr(module, name, None)
    if function is None:
        raise UserError(f"--{flag}={given}: {module_name} has no {name}")
    if not callable(function):
        raise UserError(f"--{flag}={given}: {name} is no function")
    return function


def check_form(given: str, flag: str) -> None:
    """Raises UserError when a flag's value is not python:MODULE:FUNCTION; imports nothing."""
    if given.count(":") != 2 or not all(given.split(":")):
        raise UserError(f"--{flag}={given}: expected python:MODULE:FUNCTION")


def describe(error: BaseException) -> str:
    """Returns an error of the user's own code with where it happened."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
