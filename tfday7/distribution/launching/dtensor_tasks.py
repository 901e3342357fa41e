"""Reads who the clients of a DTensor mesh are from the variables that TensorFlow itself reads for it.

`DTENSOR_JOBS` (their addresses), `DTENSOR_NUM_CLIENTS` and `DTENSOR_CLIENT_ID`: tensorflow/dtensor/python/config.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tfday7.core.errors import UserError

HINT = "docs/launching.md has an example"


def read(environ: Mapping[str, str]) -> tuple[list[str], int] | None:
    """Returns the addresses of all clients, and which of them this process is; None where nothing says so.

    Raises:
        UserError: a variable is missing or wrong.
    """
    if not environ.get("DTENSOR_JOBS"):
        return None
    addresses = environ["DTENSOR_JOBS"].split(",")
    count = _number(environ, "DTENSOR_NUM_CLIENTS")
    if count != len(addresses):
        raise UserError(f"DTENSOR_NUM_CLIENTS={count}, but DTENSOR_JOBS has {len(addresses)} addresses", HINT)
    index = _number(environ, "DTENSOR_CLIENT_ID")
    if index >= count:
        raise UserError(f"DTENSOR_CLIENT_ID={index}: expected less than DTENSOR_NUM_CLIENTS={count}", HINT)
    return addresses, index


def _number(environ: Mapping[str, str], name: str) -> int:
    given = environ.get(name, "")
    if not re.fullmatch("[0-9]{1,6}", given):
        raise UserError(f"{name}={given}: expected a whole number of at least 0", HINT)
    return int(given)
