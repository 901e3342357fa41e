"""Reads who the workers of an Indexed Job or a StatefulSet are: pods NAME-0, NAME-1, ... behind a headless service.

The manifest sets, for every pod alike:

- `TFDAY7_WORKERS`: how many pods there are; nothing below is read without it.
- `TFDAY7_SERVICE`: the headless service, that is the pods' `subdomain`.
- `TFDAY7_PORT`: the port of each pod; 2222 where it is not set.
- `TFDAY7_NAME`: what the pods' names have before -INDEX; where it is not set, HOSTNAME says it.

The index is `JOB_COMPLETION_INDEX`, which Kubernetes sets in an Indexed Job, else the number at the end of HOSTNAME
(https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode). Kubeflow's TFJob sets TF_CONFIG and
needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tfday7.core.errors import UserError

DEFAULT_PORT = "2222"
_POD = re.compile(r"([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)-([0-9]{1,6})")
HINT = "docs/launching.md lists the variables that a pod needs"


def read(environ: Mapping[str, str]) -> tuple[list[str], int] | None:
    """Returns the addresses of all pods by their index, and this pod's index; None where nothing says so.

    Raises:
        UserError: a variable is missing or wrong.
    """
    if not environ.get("TFDAY7_WORKERS"):
        return None
    count = _number(environ, "TFDAY7_WORKERS")
    service = environ.get("TFDAY7_SERVICE", "")
    if not re.fullmatch("[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", service):
        raise UserError(f"TFDAY7_SERVICE={service}: expected the name of the pods' headless service", HINT)
    pod = _POD.fullmatch(environ.get("HOSTNAME", "").partition(".")[0])
    if environ.get("JOB_COMPLETION_INDEX"):
        index = _number(environ, "JOB_COMPLETION_INDEX")
    elif pod:
        index = int(pod[2])
    else:
        raise UserError(f"HOSTNAME={environ.get('HOSTNAME', '')}: expected NAME-INDEX, or JOB_COMPLETION_INDEX", HINT)
    name = environ.get("TFDAY7_NAME") or (pod[1] if pod else "")
    if not name:
        raise UserError("TFDAY7_NAME is missing, and HOSTNAME does not end with -INDEX", HINT)
    if index >= count:
        raise UserError(f"this pod has the index {index}: expected less than TFDAY7_WORKERS={count}", HINT)
    port = environ.get("TFDAY7_PORT") or DEFAULT_PORT
    return [f"{name}-{each}.{service}:{port}" for each in range(count)], index


def _number(environ: Mapping[str, str], name: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", environ[name]):
        raise UserError(f"{name}={environ[name]}: expected a whole number of at least 0", HINT)
    return int(environ[name])
