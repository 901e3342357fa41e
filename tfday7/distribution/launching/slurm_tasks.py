"""Reads from Slurm's environment variables who the workers of a step are: one per task.

Slurm's names: https://slurm.schedmd.com/srun.html, "OUTPUT ENVIRONMENT VARIABLES". Those of the step win over those of
the job, which may be larger. Every task works the same addresses out for itself, so the ports follow from the job's id.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from tfday7.core.errors import UserError

FIRST_PORT, PORT_BLOCK, BLOCKS = 12_000, 16, 1_000  # 12000 to 27999: below the ports that Linux gives to clients.
MOST_NODES = 100_000
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_TASKS = re.compile(r"([0-9]+)(?:\(x([0-9]+)\))?")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*")
NODE_LISTS = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
TASK_COUNTS = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS")
TASKS_PER_NODE = ("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")


def read(environ: Mapping[str, str]) -> tuple[list[str], int] | None:
    """Returns the addresses of all tasks by their rank, and this task's rank; None outside of a Slurm task.

    Args:
        environ: `TFDAY7_PORT` in it replaces the first port, which otherwise follows from SLURM_JOB_ID.

    Raises:
        UserError: the variables contradict each other or cannot be read.
    """
    listed = next((name for name in NODE_LISTS if environ.get(name)), None)
    if listed is None or "SLURM_PROCID" not in environ:
        return None
    nodes = expand_nodes(environ[listed], listed)
    tasks = _tasks_per_node(environ, len(nodes))
    rank, first = _number(environ, "SLURM_PROCID"), first_port(environ)
    places = _places(tasks, environ.get("SLURM_DISTRIBUTION", "block"))
    addresses = [f"{nodes[node]}:{first + local}" for node, local in places]
    if rank >= len(addresses):
        raise UserError(f"SLURM_PROCID={rank}: expected less than the number of tasks, {len(addresses)}")
    here, named = environ.get("SLURMD_NODENAME", ""), nodes[places[rank][0]]
    if here and here != named:
        raise UserError(
            f"SLURM_PROCID={rank} was expected on {named}, but SLURMD_NODENAME={here}",
            "start the tasks with --distribution=block, or name the workers with --cluster and --worker_index",
        )
    return addresses, rank


def first_port(environ: Mapping[str, str]) -> int:
    """Returns the port of a node's first task; the others follow. Jobs that share a node get different ones."""
    if environ.get("TFDAY7_PORT"):
        return _number(environ, "TFDAY7_PORT")
    job = _number(environ, "SLURM_JOB_ID") if environ.get("SLURM_JOB_ID") else 0
    return FIRST_PORT + job % BLOCKS * PORT_BLOCK


def expand_nodes(text: str, name: str = "SLURM_JOB_NODELIST") -> list[str]:
    """Returns the nodes of a Slurm list: ["node01", "node02", "other5"] for "node[01-02],other5".

    Raises:
        UserError: the list cannot be read; the message has `name`.
    """
    wrong = UserError(f"{name}={text}: expected a list of nodes such as node[01-03,07],other5")
    outside = _BRACKETS.sub("", text)
    if "[" in outside or "]" in outside:
        raise wrong
    nodes: list[str] = []
    for part in re.split(r",(?![^\[]*\])", text):  # Commas within brackets belong to the ranges.
        pieces = _BRACKETS.split(part)  # Plain text and the inside of brackets, in turns.
        if not part or not all(_PLAIN.fullmatch(piece) for piece in pieces[::2]):
            raise wrong
        choices = [_numbers(piece, wrong) if turn % 2 else [piece] for turn, piece in enumerate(pieces)]
        nodes += ["".join(chosen) for chosen in itertools.islice(itertools.product(*choices), MOST_NODES)]
    return nodes


def _numbers(inside: str, wrong: UserError) -> list[str]:
    numbers: list[str] = []
    for part in inside.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or not 0 <= int(last) - int(first) < MOST_NODES:
            raise wrong
        numbers += [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    return numbers


def _tasks_per_node(environ: Mapping[str, str], nodes: int) -> list[int]:
    """Returns the number of tasks on each node."""
    count = next((_number(environ, name) for name in TASK_COUNTS if environ.get(name)), None)
    name = next((name for name in TASKS_PER_NODE if environ.get(name)), "")
    if name:
        tasks = _expand_tasks(environ[name], name)
    elif environ.get("SLURM_NTASKS_PER_NODE"):
        name = "SLURM_NTASKS_PER_NODE"
        tasks = [_number(environ, name)] * nodes
    else:
        name, total = "SLURM_NTASKS", nodes if count is None else count
        tasks = [total // nodes + (node < total % nodes) for node in range(nodes)]
    if len(tasks) != nodes or (count is not None and sum(tasks) != count):
        raise UserError(
            f"{name}={environ.get(name, count)} does not fit {nodes} nodes and {count} tasks",
            "start training with srun, one task per worker",
        )
    return tasks


def _expand_tasks(text: str, name: str) -> list[int]:
    tasks: list[int] = []
    for part in text.split(","):
        found = _TASKS.fullmatch(part)
        if not found or int(found[2] or 1) > MOST_NODES:
            raise UserError(f"{name}={text}: expected numbers of tasks such as 2(x3),1")
        tasks += [int(found[1])] * int(found[2] or 1)
    return tasks


def _places(tasks: list[int], distribution: str) -> list[tuple[int, int]]:
    """Returns for each rank its node and its position there."""
    by_node = [[(node, local) for local in range(count)] for node, count in enumerate(tasks)]
    order = re.split("[:,]", distribution)[0]
    if order in ("block", "*", ""):
        return [place for places in by_node for place in places]
    if order == "cyclic":
        return sorted((place for places in by_node for place in places), key=lambda place: (place[1], place[0]))
    raise UserError(f"SLURM_DISTRIBUTION={distribution}: expected block or cyclic", "give srun --distribution=block")


def _number(environ: Mapping[str, str], name: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", environ[name]):
        raise UserError(f"{name}={environ[name]}: expected a whole number of at least 0")
    return int(environ[name])
