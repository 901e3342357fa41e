"""Who the tasks of a Slurm step are: lists of nodes, tasks per node, ports, and every wrong value."""

from __future__ import annotations

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution.cluster import Cluster, find
from tfday7.distribution.config import DistributionConfig
from tfday7.distribution.launching.slurm_tasks import expand_nodes

NOTHING = DistributionConfig()


def slurm(nodes: str, rank: int, **others: str) -> dict[str, str]:
    return {"SLURM_JOB_NODELIST": nodes, "SLURM_PROCID": str(rank), "SLURM_JOB_ID": "4007", **others}


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a", ["a"]),
        ("node[01-03,07],other5", ["node01", "node02", "node03", "node07", "other5"]),
        ("r[1-2]n[8-10]", ["r1n8", "r1n9", "r1n10", "r2n8", "r2n9", "r2n10"]),
        ("n[098-101]-ib,x.y", ["n098-ib", "n099-ib", "n100-ib", "n101-ib", "x.y"]),
    ],
)
def test_node_lists(text: str, nodes: list[str]) -> None:
    assert expand_nodes(text) == nodes


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_TASKS_PER_NODE": "2(x2),1", "SLURM_NTASKS": "5"}, ["a1:0", "a1:1", "a2:0", "a2:1", "b:0"]),
        ({"SLURM_NTASKS_PER_NODE": "1", "SLURM_NTASKS": "3"}, ["a1:0", "a2:0", "b:0"]),
        ({"SLURM_NTASKS": "4"}, ["a1:0", "a1:1", "a2:0", "b:0"]),
        ({}, ["a1:0", "a2:0", "b:0"]),
        (
            {"SLURM_TASKS_PER_NODE": "1,2(x2)", "SLURM_DISTRIBUTION": "cyclic:block"},
            ["a1:0", "a2:0", "b:0", "a2:1", "b:1"],
        ),
        ({"SLURM_STEP_NODELIST": "b,c", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "3"}, ["b:0", "c:0"]),
    ],
)
def test_slurm_has_one_port_for_each_task_of_a_node(variables: dict[str, str], expected: list[str]) -> None:
    first = 12_000 + 7 * 16  # Job 4007: the 7th of a thousand blocks of 16 ports.
    hosts = [each.partition(":") for each in expected]
    workers = tuple(f"{host}:{first + int(local)}" for host, _, local in hosts)
    for rank in range(len(expected)):
        environ = slurm("a[1-2],b", rank, SLURMD_NODENAME=hosts[rank][0], **variables)
        assert find(NOTHING, environ) == Cluster(workers, (), "worker" if rank else "chief", rank)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (slurm("a[1-", 0), "SLURM_JOB_NODELIST=a"),
        (slurm("a[2-1]", 0), "SLURM_JOB_NODELIST=a"),
        (slurm("a[1-999999999]", 0), "SLURM_JOB_NODELIST=a"),
        (slurm("a,,b", 0), "SLURM_JOB_NODELIST=a,,b"),
        (slurm("a;b,c", 0), "SLURM_JOB_NODELIST=a;b,c"),
        (slurm("a[1-2]", 2, SLURM_NTASKS="2"), "SLURM_PROCID=2: expected less than the number of tasks, 2"),
        (slurm("a[1-2]", 0, SLURM_NTASKS="3", SLURM_NTASKS_PER_NODE="2"), "SLURM_NTASKS_PER_NODE=2 does not fit 2"),
        (slurm("a[1-2]", 0, SLURM_TASKS_PER_NODE="1(x3)"), "SLURM_TASKS_PER_NODE"),
        (slurm("a[1-2]", 0, SLURM_TASKS_PER_NODE="1(2)"), "expected numbers of tasks"),
        (slurm("a[1-2]", 0, SLURM_NTASKS="two"), "SLURM_NTASKS=two"),
        (slurm("a[1-2]", 0, SLURM_DISTRIBUTION="plane=4"), "SLURM_DISTRIBUTION=plane=4"),
        (slurm("a[1-2]", 0, SLURMD_NODENAME="a2"), "expected on a1, but SLURMD_NODENAME=a2"),
        (slurm("a[1-2]", 0, TFDAY7_PORT="70000"), "'a1:70000' is no address"),
    ],
)
def test_a_wrong_value_is_the_users_mistake(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(NOTHING, environ)
