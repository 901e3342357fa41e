"""A whole run, stage by stage: data -> model -> training -> diagnosis -> export -> benchmark -> report.

Stages talk through the run folder, so each can be run again by its own command. `planning.Plan` holds the settings;
`run` carries them out.
"""

from __future__ import annotations

import datetime
import math
import os
import shlex
from collections.abc import Mapping
from typing import Any

from tfday7 import preparing
from tfday7.core import environment, files
from tfday7.core.errors import GateError, Interrupted, UserError
from tfday7.core.run_folder import BENCHMARK, EXPORTS, FLAGS, MODEL, REPORT, RESULTS, RunFolder
from tfday7.core.settings import to_text
from tfday7.data.dataset import Dataset, Problem
from tfday7.distribution import agreement, checking, parameter_servers
from tfday7.distribution.cluster import Cluster
from tfday7.distribution.devices import Devices
from tfday7.planning import Plan, Say
from tfday7.tuning.settling import Settled


def is_chief(plan: Plan) -> bool:
    """Returns whether this process is the one that writes: of several workers the first, otherwise the only one."""
    group = checking.group(plan.distribution, os.environ)
    return group is None or group.is_chief


def run(
    plan: Plan,
    folder: RunFolder,
    flags: Mapping[str, str],
    overwrite: bool = False,
    observer: Any = None,
    say: Say = lambda sentence: None,
    lang: str = "en",
) -> bool:
    """Carries a run out, or what is left of it, and leaves everything in its folder.

    Returns whether this process delivers the run: in a group of processes the chief does.

    Args:
        plan: the settings.
        folder: the run folder.
        flags: the settings as text, for flags.txt.
        overwrite: whether an earlier run in the folder is replaced.
        observer: told of training's progress; see `tfday7.training.observer.Observer`.
        say: told in a sentence what is being done.
        lang: language of the report.

    Raises:
        UserError: a mistake in the settings or the data; the folder is as it was before.
        GateError: training diverged, or an exported file does not give the model's answers. Everything is recorded.
        Interrupted: a signal; the same call resumes.
    """
    group = checking.group(plan.distribution, os.environ)
    if group is not None and not group.is_chief:
        if overwrite or not _is_done(folder, flags):
            _assist(plan, group, say)
        return False
    folder.check_reusable(flags, overwrite)
    if not overwrite and _is_done(folder, flags):
        say(f"{folder.path} is finished; a larger --epochs goes on, --overwrite starts again")
        _raise_gate(folder)
        return True
    plan.check_exports(folder, overwrite)
    plan, dataset, devices, model, settled = preparing.prepare(plan, group, {} if overwrite else folder.record(), say)
    with folder.locked():
        folder.check_reusable(flags, overwrite)  # Another process may have been here meanwhile.
        if overwrite or not folder.exists():
            folder.clear()
        check_same_data(folder, dataset)
        folder.remove_partials()
        _say_what_changes(plan, folder, say)
        folder.update(status="running")  # Before the flags: with new ones, the old results would count as theirs.
        folder.write_flags(flags)
        _begin(plan, folder, dataset, model, settled)
        folder.update(distribution=_distribution(plan, devices, model))
        try:
            plain = _train(plan, folder, dataset, devices, model, observer, say)
        except Interrupted:
            folder.update(status="interrupted")
            raise
        _deliver(plan, folder, dataset, plain, say)
        folder.update(status="finished")
        _report(folder, lang)
    _raise_gate(folder)
    return True


def describe(plan: Plan) -> dict[str, Any]:
    """Returns what a run would cost: the model's size, and the time of a step, measured on one batch; JSON values.

    On several devices of this machine the step is that of all of them together.

    Raises:
        UserError: a mistake in the settings or the data, or a group of processes.
    """
    if checking.group(plan.distribution, os.environ) is not None:
        raise UserError(
            "--describe looks at one process, and this one is to work in a group",
            "give --strategy=one_device, or mirrored for the devices of this machine",
        )
    from tfday7.models.describe import describe as describe_model
    from tfday7.training.batches import input_ms
    from tfday7.training.step_time import measure

    plan, dataset, devices, model, _ = preparing.prepare(plan, None, {}, lambda sentence: None)
    plain = model if devices.mesh is None else preparing.build(plan, dataset, lambda sentence: None)
    step_ms = measure(model, dataset, plan.optimizer, plan.training)  # First: it freezes what the run would freeze.
    pipeline_ms = input_ms(dataset, plan.training)
    steps = math.ceil(len(dataset.train) / plan.training.batch_size)
    return {
        **describe_model(plain).to_json(),
        "batch_size": plan.training.batch_size,
        "accumulate_steps": plan.training.accumulate_steps,
        "devices": devices.record(),
        "device_plan": model.device_plan.rows(batch_size=plan.training.batch_size) if devices.mesh is not None else [],
        "step_ms": step_ms,
        "input_ms": pipeline_ms,
        "steps_per_epoch": steps,
        "epoch_seconds": steps * max(step_ms, pipeline_ms) / 1000.0,
        "hardware": environment.hardware(),
    }


def _is_done(folder: RunFolder, flags: Mapping[str, str]) -> bool:
    done = folder.exists() and folder.is_finished() and (folder / REPORT).exists()
    return done and not folder.differing(flags)


def _say_what_changes(plan: Plan, folder: RunFolder, say: Say) -> None:
    before = folder.flags().get("epochs") if folder.exists() else None
    if before not in (None, str(plan.training.epochs)) and plan.optimizer.schedule != "constant":
        say(
            f"note: the {plan.optimizer.schedule} schedule now spans {plan.training.epochs} epochs, not {before}; "
            "the rate rises again, which is not the same as having trained for as long from the start"
        )


def _raise_gate(folder: RunFolder) -> None:
    gate = folder.known().gate
    if gate:
        raise GateError(gate.message, gate.hint)


def check_same_data(folder: RunFolder, dataset: Dataset) -> None:
    """Raises UserError where a run was started on other data: its test set would not be the one that was set aside."""
    before = folder.known().data.fingerprint
    if before not in ("", dataset.fingerprint):
        raise UserError(
            f"{folder.path} was started on other data (fingerprint {before}, now {dataset.fingerprint})",
            "choose a new folder with --run_dir=FOLDER, or start again with --overwrite",
        )


def _assist(plan: Plan, group: Cluster, say: Say) -> None:
    """Trains as a worker that is not the chief: the same steps, or those it is handed; nothing is written."""
    from tfday7.data import pipeline
    from tfday7.training.fitting import fit
    from tfday7.training.watcher import OnTwin

    if group.parameter_servers:
        parameter_servers.serve(group, plan.distribution.cluster_timeout)
        return
    plan, dataset, devices, model, _ = preparing.prepare(plan, group, {}, say)
    with pipeline.user_errors(dataset.train, dataset.validation), agreement.loss_of_workers(model):
        fit(model, dataset, plan.optimizer, plan.training, watchers=[OnTwin(model)])
        model.get_weights()  # The chief reads them now, and reading a statistic sums it over the group.
        devices.leave()
    say("the chief delivers the run")


def _distribution(plan: Plan, devices: Devices, model: Any) -> dict[str, Any]:
    """Returns what run.json says of where and how the run was trained."""
    replicas, steps = devices.replicas, plan.training.accumulate_steps
    micro = plan.training.batch_size // (replicas * steps)
    return {**devices.record(), "accumulate_steps": steps, "micro_batch_size": micro} | (
        {"plan": model.device_plan.to_json()} if devices.axes is not None else {}
    )


def _begin(plan: Plan, folder: RunFolder, dataset: Dataset, model: Any, settled: Settled) -> None:
    problem = dataset.problem
    folder.clear(RESULTS)
    folder.update(
        status="running",
        training={},
        metric={},
        name=folder.name,
        gate=None,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=environment.versions(),
        hardware=environment.hardware(),
        seed=plan.training.seed,
        data={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "task": problem.task,
            "kind": problem.kind,
            "input_shape": list(problem.input_shape),
            "outputs": problem.outputs,
            "class_names": list(problem.class_names),
            **_heads_record(problem),
            "examples": {key: len(getattr(dataset, key)) for key in ("train", "validation", "test")},
            "preprocessing": dataset.preprocessing,
            "columns": problem.encoding.to_json() if problem.encoding else [],
            "dropped_duplicates": dataset.dropped_duplicates,
            "skipped": [{"file": file, "reason": reason} for file, reason in dataset.skipped],
        },
        model={"name": model.name, "parameters": model.count_params()},
        **settled.record(),
    )


def _heads_record(problem: Problem) -> dict[str, Any]:
    if not problem.heads:
        return {}
    return {"heads": [{"name": h.name, "task": h.task, "class_names": list(h.class_names)} for h in problem.heads]}


def _train(
    plan: Plan, folder: RunFolder, dataset: Dataset, devices: Devices, model: Any, observer: Any, say: Say
) -> Any:
    """Trains, and returns the model as it ends, on one device."""
    from tfday7.data import pipeline
    from tfday7.diagnosis.watching import Watch
    from tfday7.training.batches import input_ms
    from tfday7.training.fitting import fit
    from tfday7.training.watcher import OnTwin

    stop = plan.diagnosis.stop_when_broken
    flags = {**folder.flags(), **to_text(plan.optimizer)}  # With what "auto" was settled as.
    own = model if devices.is_plain else preparing.twin(plan, dataset)
    watcher: Any = Watch(own, dataset, plan.training.epochs, flags, folder, stop, say)
    watcher = watcher if own is model else OnTwin(model, own, watcher)
    with pipeline.user_errors(dataset.train, dataset.validation), parameter_servers.watched(devices.cluster):
        pipeline_ms = input_ms(dataset, plan.training)  # Before training: files are as cold as the first epoch's.
        result = fit(model, dataset, plan.optimizer, plan.training, folder, observer, watchers=[watcher])
    if own is not model:
        with agreement.loss_of_workers(model):  # Every process of a group reads them; see `_assist`.
            own.set_weights(model.get_weights())
            devices.leave()
    folder.update(
        training={
            "epochs": result.records[-1]["epoch"] if result.records else 0,  # One that was undone has none.
            "best_epoch": result.best_epoch,
            "stopped": result.stopped,
            "seconds": result.seconds,
            "resumed_at": result.resumed_at,
            "step_ms": result.step_ms,
            "input_ms": None if result.step_ms is None else pipeline_ms,
            "watch_seconds": result.watch_seconds,
            "regularization_changes": result.regularization_changes,
            "recoveries": result.recoveries,
            "overflow": _overflow(plan, dataset, own, say),
        }
    )
    return own


def _overflow(plan: Plan, dataset: Dataset, model: Any, say: Say) -> list[dict[str, Any]]:
    """Returns the layers that leave float16's range on a batch of the validation split, and says so."""
    if plan.training.precision != "mixed_float16":
        return []
    from tfday7.training import overflow

    found = overflow.overflowing(model, dataset.validation.x[: plan.training.batch_size])
    if found:
        names = ", ".join(f"{each['layer']} ({each['largest'] or float('inf'):.0f})" for each in found)
        say(f"note: outside of float16's range of 65,504: {names}; --precision=mixed_bfloat16 has no such limit")
    return found


def _deliver(plan: Plan, folder: RunFolder, dataset: Dataset, model: Any, say: Say) -> None:
    """Saves, judges and exports the weights of the best epoch; without a finite one there is nothing to deliver."""
    from tfday7 import diagnosis, models
    from tfday7.diagnosis.measuring import inspection
    from tfday7.models import raw_columns
    from tfday7.training.scores import scores

    training = folder.record()["training"]
    if training["best_epoch"]:
        delivered = models.load(model, dtype_policy="float32")  # Mixed precision is for training; files are float32.
        folder.update(metric=scores(dataset, delivered))
        models.save(raw_columns.attach(delivered, dataset.problem.encoding), folder / MODEL)
    inspection.record(dataset, folder)
    verdict = diagnosis.diagnose(folder)
    say(f"diagnosis: {verdict.verdict}")
    if training["stopped"] in ("nan", "broken") or not training["best_epoch"]:
        what = "the loss is" if training["stopped"] == "nan" else "val_loss is"
        remedies = verdict.findings[0].remedies if verdict.findings else []
        message = f"training diverged: {what} not finite in epoch {training['epochs']}; nothing was exported"
        if training["stopped"] == "broken":
            message = f"training was stopped in epoch {training['epochs']} as it was broken; nothing was exported"
        folder.update(gate={"message": message, "hint": " or ".join(advice.flag for advice in remedies if advice.flag)})
    else:
        _export(plan, folder, dataset, delivered, say)


def _export(plan: Plan, folder: RunFolder, dataset: Dataset, model: Any, say: Say) -> None:
    from tfday7.benchmarking import measuring
    from tfday7.exporting import exporting
    from tfday7.training.objective import output_meaning

    formats = plan.export.formats()
    if not formats:
        return
    say(f"export: {', '.join(formats)}, each file verified on {len(dataset.test):,} test examples")
    target = plan.export.folder(folder.name)
    origin = exporting.Origin(
        folder.name,
        str(folder.path.resolve()),
        output_meaning(dataset.problem, model),
        data=to_text(plan.data),
        command=f"python -m tfday7.train --flagfile={shlex.quote(str(folder / FLAGS))} --run_dir=NEW",
    )
    artefacts = exporting.export(model, dataset, plan.export.wanted(), target, origin, say=say)
    files.write_json(folder / EXPORTS, {"artefacts": [artefact.to_json() for artefact in artefacts]})
    rows = measuring.quick(artefacts, dataset.test.x[:1])
    files.write_json(folder / BENCHMARK, {"hardware": environment.hardware(), "rows": rows})
    try:
        exporting.check_gate(artefacts)
    except GateError as error:
        folder.update(gate={"message": error.message, "hint": error.hint})


def _report(folder: RunFolder, lang: str) -> None:
    from tfday7.reporting import write_report

    write_report(folder, lang)
