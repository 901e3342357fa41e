"""`tfday7.advise` and `--optimizer=auto` from the outside."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, run_command

from tfday7 import stages
from tfday7.cli import Command
from tfday7.core.run_folder import RunFolder
from tfday7.diagnosis import evidence, remedies
from tfday7.exporting.config import ExportConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, Situation, advise
from tfday7.planning import Plan
from tfday7.reporting import optimizer_advice
from tfday7.training.config import TrainingConfig

QUESTION = ("--data_kind=text", "--model_kind=transformer", "--parameters=300000000", "--goal=accurate")
TOPIC = "--topic=optimizer"


def train_flags(flags: list[str]) -> list[str]:
    """Returns those of the flags that `tfday7.train` has."""
    import tfday7.train

    command: Command = tfday7.train.COMMAND
    return [flag for flag in flags if flag.removeprefix("--").partition("=")[0] in command.flags]


def test_the_record_is_json_with_all_its_parts_and_nothing_else() -> None:
    ended = run_command("advise", TOPIC, *QUESTION, "--json")
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    assert set(record) == {
        "topic", "optimizer", "runner_up", "reasons", "settings", "flags", "tune", "watch", "inputs", "origins",
    }  # fmt: skip
    assert record["optimizer"] == "adamw"
    assert {"text", "source"} <= set(record["reasons"][0])
    assert {"name", "range", "scale", "order"} <= set(record["tune"][0])
    assert {"sign", "action"} <= set(record["watch"][0])
    assert record["inputs"]["parameters"] == 300_000_000


@pytest.mark.parametrize(("lang", "words"), [("en", "compare with"), ("zh", "可与")])
def test_people_get_the_choice_why_values_tuning_and_signs_in_their_language(lang: str, words: str) -> None:
    ended = run_command("advise", TOPIC, *QUESTION, "--trials=30", f"--lang={lang}")
    assert (ended.code, ended.err) == (0, "")
    assert words in ended.out.splitlines()[0]
    parts = ["adamw", "arXiv:", "--optimizer=adamw --learning_rate", "1. --learning_rate", "--warmup_steps=8000"]
    places = [ended.out.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_is_lost_between_the_record_and_the_page(lang: str) -> None:
    from rich.console import Console

    for inputs in ({"model_kind": "mlp", "trials": 0}, {"model_kind": "rnn", "data_kind": "series", "trials": 60}):
        record = advise(Situation(**inputs)).to_json(lang)
        console = Console(width=100, record=True, file=io.StringIO())
        console.print(optimizer_advice(record, lang))
        shown = re.sub(r"\s|\\", "", console.export_text())
        parts = [reason["text"] for reason in record["reasons"]] + [sign["action"] for sign in record["watch"]]
        parts += record["flags"] + [f"--{entry['name']}" for entry in record["tune"]]
        assert all(re.sub(r"\s", "", part) in shown for part in parts)


def test_the_command_that_is_printed_is_one_that_train_takes() -> None:
    ended = run_command("advise", TOPIC, "--data=configs/data/diabetes.csv", "--target=progression", "--epochs=10")
    assert (ended.code, ended.err) == (0, "")
    command = re.search(r"python -m tfday7\.train(.*\\\n)*.*", ended.out)
    assert command is not None
    words = shlex.split(command.group().replace("\\\n", ""))
    assert {"--data=configs/data/diabetes.csv", "--target=progression", "--optimizer=adamw"} <= set(words)
    checked = run_command("train", *train_flags(words[3:]), "--only_check_args", "--run_dir=runs/never-made")
    assert (checked.code, checked.err) == (0, "")
    assert not (ROOT / "runs" / "never-made").exists()


@pytest.mark.parametrize(("lang", "words"), [("en", "Likely causes"), ("zh", "可能原因")])
def test_why_a_model_overfits_is_explained_without_a_run(lang: str, words: str) -> None:
    question = ("--topic=fit", "--symptom=overfit", "--data_kind=image", "--examples=500", f"--lang={lang}")
    ended = run_command("advise", *question)
    assert (ended.code, ended.err) == (0, "")
    parts = [words, " 1. ", "--label_smoothing=0.1", " 2. ", "--augment=flip,shift,crop", " 3. ", "--width=16"]
    places = [ended.out.index(part) for part in parts]
    assert places == sorted(places)
    record = json.loads(run_command("advise", *question, "--json").out)
    assert set(record) == {"topic", "symptom", "signs", "causes", "inputs", "origins"}
    assert record["inputs"] == {"data_kind": "image", "examples": 500, "parameters": None, "model": "cnn"}
    shown = re.sub(r"\s", "", ended.out)
    told = record["signs"] + [cause[part] for cause in record["causes"] for part in ("text", "recognise")]
    told += [solution["text"] for cause in record["causes"] for solution in cause["solutions"]]
    told += [sentence for cause in record["causes"] for sentence in cause["why"]]
    assert all(re.sub(r"\s", "", sentence) in shown for sentence in told)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "To compress for raspberry_pi"), ("zh", "面向 raspberry_pi 的压缩")]
)
def test_how_to_compress_for_a_device_is_told_in_order_with_the_command(lang: str, words: str) -> None:
    question = ("--topic=compression", "--device=raspberry_pi", "--model_kind=cnn", f"--lang={lang}")
    ended = run_command("advise", *question)
    assert (ended.code, ended.err) == (0, "")
    parts = [words, "1. shrink50_distil_int8", "arXiv:1608.08710", "python -m tfday7.compress", "2. shrink50_qat"]
    places = [ended.out.index(part) for part in parts]
    assert places == sorted(places)
    assert "--recipe=configs/recipes/shrink50_qat.json" in ended.out
    record = json.loads(run_command("advise", *question, "--json").out)
    assert set(record) == {
        "topic", "device", "operators", "techniques", "with_more", "left_out", "notes", "then", "inputs", "origins",
    }  # fmt: skip
    assert record["inputs"]["device"] == "raspberry_pi"


def test_advice_on_compression_and_its_check_load_no_tensorflow() -> None:
    question = ["--topic=compression", "--device=android_npu", "--json"]
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['advise', *{question!r}]\n"
        "try:\n    runpy.run_module('tfday7.advise', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "sys.stderr.write('loaded' if {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules) else 'free')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stderr == "free"
    assert json.loads(ended.stdout)["techniques"][0]["recipe"] == "int8"


@pytest.mark.slow
def test_compression_looks_at_data_and_model() -> None:
    question = ("--topic=compression", "--device=microcontroller", "--max_size_kb=1", "--json")
    ended = run_command("advise", *question, "--data=digits", "--model=mlp", "--width=8", "--depth=1")
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    parameters = (64 * 8 + 8) + (8 * 10 + 10)
    found = {name: value for name, value in record["inputs"].items() if record["origins"].get(name) == "found"}
    assert found == {
        "data_available": "labelled", "data_kind": "image", "model_kind": "mlp", "parameters": parameters,
        "examples": 1245,
    }  # fmt: skip
    assert record["techniques"][0]["recipe"] == "int8"
    assert record["techniques"][0]["weights_kb"] == parameters / 1000
    assert "--run_dir=runs/NAME" in record["techniques"][0]["command"]


@pytest.mark.slow
def test_a_model_file_that_was_looked_at_is_in_the_command(tmp_path: Path) -> None:
    from tfday7.core.frameworks import keras

    path = str(tmp_path / "tiny.h5")
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)
    question = ("--topic=compression", "--device=x86", "--json", "--data=digits", f"--model={path}")
    ended = run_command("advise", *question)
    assert ended.code == 0
    command = shlex.split(json.loads(ended.out)["techniques"][0]["command"])
    assert {f"--model={path}", "--data=digits"} <= set(command)


SPREAD = ("--topic=distribution", "--parameters=7000000000", "--accelerator=a100_80", "--precision=mixed_bfloat16")


@pytest.mark.parametrize(("lang", "words"), [("en", "Train on 8 devices"), ("zh", "在 8 个设备上训练")])
def test_how_to_spread_a_run_is_told_with_memory_scaling_and_flags(lang: str, words: str) -> None:
    question = (*SPREAD, "--devices=8", f"--lang={lang}")
    ended = run_command("advise", *question)
    assert (ended.code, ended.err) == (0, "")
    parts = [words, "arXiv:1909.08053", "28.0 GB", "> hybrid batch:2,model:4", "arXiv:2205.05198"]
    places = [ended.out.index(part) for part in parts]
    assert places == sorted(places)
    record = json.loads(run_command("advise", *question, "--json").out)
    assert set(record) == {
        "topic", "chosen", "usable_bytes", "reasons", "accumulation", "candidates", "left_out", "binding", "relax",
        "formulas", "notes", "accelerator", "flags", "inputs", "origins",
    }  # fmt: skip
    assert record["chosen"] == "hybrid batch:2,model:4"
    assert record["inputs"]["devices"] == 8


def test_advice_on_distribution_from_numbers_loads_no_tensorflow() -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['advise', *{[*SPREAD, '--devices=8', '--json']!r}]\n"
        "try:\n    runpy.run_module('tfday7.advise', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "sys.stderr.write('loaded' if {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules) else 'free')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stderr == "free"
    assert json.loads(ended.stdout)["topic"] == "distribution"


@pytest.mark.slow
def test_distribution_looks_at_data_and_model() -> None:
    question = ("--topic=distribution", "--device_memory_gb=1", "--devices=2", "--optimizer=sgd", "--json")
    ended = run_command("advise", *question, "--data=digits", "--model=mlp", "--width=8", "--depth=1")
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    parameters = (64 * 8 + 8) + (8 * 10 + 10)
    assert record["inputs"]["parameters"] == parameters
    assert record["origins"]["parameters"] == "found"
    one, copies, halves = record["candidates"]
    assert one["memory"]["weights"] == copies["memory"]["weights"] == 4 * parameters
    assert copies["memory"]["optimizer"] == 4 * parameters + 8
    assert copies["memory"]["activations"] == one["memory"]["activations"] / 2 > 0
    assert halves["memory"]["weights"] < copies["memory"]["weights"]
    assert record["flags"][:5] == ["--data=digits", "--model=mlp", "--width=8", "--depth=1", "--strategy=mirrored"]


@pytest.mark.slow
def test_fit_looks_at_data_and_model() -> None:
    ended = run_command(
        "advise",
        "--topic=fit",
        "--symptom=underfit",
        "--data=digits",
        "--model=mlp",
        "--width=8",
        "--depth=1",
        "--json",
    )
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    assert record["inputs"] == {
        "data_kind": "image", "examples": 1245, "parameters": (64 * 8 + 8) + (8 * 10 + 10), "model": "mlp",
    }  # fmt: skip
    assert "--width=16" in [solution["flag"] for cause in record["causes"] for solution in cause["solutions"]]


@pytest.mark.slow
def test_data_and_model_are_looked_at() -> None:
    ended = run_command("advise", TOPIC, "--data=digits", "--model=mlp", "--width=8", "--depth=1", "--json")
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    found = {name: value for name, value in record["inputs"].items() if record["origins"].get(name) == "found"}
    assert found == {
        "data_kind": "image", "model_kind": "mlp", "parameters": (64 * 8 + 8) + (8 * 10 + 10), "examples": 1245,
    }  # fmt: skip
    assert record["flags"][:4] == ["--data=digits", "--model=mlp", "--width=8", "--depth=1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--topic is missing; expected one of optimizer"),
        (["--topic=tea"], "--topic=tea: expected one of optimizer, fit"),
        (["--topic=fit"], "--topic=fit needs --symptom; expected one of overfit, underfit, unstable, broken"),
        (["--topic=fit", "--symptom=tired"], "--symptom=tired: expected one of overfit"),
        (["--topic=fit", "--symptom=overfit", "--goal=fast"], "--goal=fast says nothing about --topic=fit"),
        (["--topic=fit", "--symptom=overfit", "--model=cnn"], "--model needs --data"),
        ([TOPIC, "--symptom=overfit", "--model_kind=cnn"], "--symptom=overfit says nothing about --topic=optimizer"),
        (["--topic=compression"], "--topic=compression needs --device; expected one of microcontroller"),
        (["--topic=compression", "--device=tpu"], "--device=tpu: expected one of microcontroller"),
        (["--topic=compression", "--device=x86", "--goal=fast"], "--goal=fast says nothing about --topic=compression"),
        (["--topic=compression", "--device=x86", "--symptom=overfit"], "--symptom=overfit says nothing about"),
        (["--topic=compression", "--device=x86", "--reduce=price"], "--reduce=price: expected one of size, latency"),
        (["--topic=compression", "--device=x86", "--max_size_kb=9"], "--max_size_kb=9 needs --parameters"),
        (
            ["--topic=compression", "--device=x86", "--data_available=none", "--can_train"],
            "--can_train=true contradicts --data_available=none",
        ),
        (
            ["--topic=compression", "--device=x86", "--data_available=none", "--data=digits"],
            "--data_available=none contradicts --data",
        ),
        (
            ["--topic=compression", "--device=x86", "--data=digits", "--data_kind=text"],
            "--data_kind=text contradicts the data or the model",
        ),
        (["--topic=compression", "--device=x86", "--model=cnn"], "--model needs --data"),
        ([TOPIC, "--device=x86", "--model_kind=cnn"], "--device=x86 says nothing about --topic=optimizer"),
        (["--topic=fit", "--symptom=overfit", "--can_train=false"], "--can_train=false says nothing about --topic=fit"),
        (["--topic=distribution"], "--topic=distribution needs --parameters"),
        (["--topic=distribution", "--parameters=9"], "needs --accelerator or --device_memory_gb"),
        (["--topic=distribution", "--accelerator=abacus"], "--accelerator=abacus: expected one of a100_40"),
        (["--topic=distribution", "--accelerator=t4", "--precision=mixed_bfloat16"], "contradicts --accelerator=t4"),
        (["--topic=distribution", "--accelerator=t4", "--epochs=3"], "--epochs=3 says nothing about"),
        ([TOPIC, "--accelerator=t4", "--model_kind=cnn"], "--accelerator=t4 says nothing about --topic=optimizer"),
        (
            ["--topic=distribution", "--accelerator=t4", "--data=digits", "--parameters=9", "--layers=2"],
            "--layers=2 says nothing about --model_kind=cnn",
        ),
        ([TOPIC], "neither --model_kind nor --data_kind is given"),
        ([TOPIC, "--model_kind=gan"], "--model_kind=gan: expected one of cnn"),
        ([TOPIC, "--model_kind=cnn", "--parameters=0"], "--parameters=0: expected a whole number at least 1"),
        ([TOPIC, "--model_kind=cnn", "--device_memory_gb=0"], "--device_memory_gb=0.0: expected a number above 0"),
        ([TOPIC, "--model_kind=cnn", "--trials=-1"], "--trials=-1"),
        ([TOPIC, "--data=digits", "--data_kind=text"], "--data_kind=text contradicts the data or the model"),
        ([TOPIC, "--data=digits", "--batch_size=5000"], "--batch_size=5000 is more than --examples=1245"),
        ([TOPIC, "--model=cnn"], "--model needs --data"),
        ([TOPIC, "--data=digits", "--width=8"], "--width needs --model"),
        ([TOPIC, "--data=digits", "--model=resnet9"], "unknown model 'resnet9'"),
        ([TOPIC, "--data=nowhere.npz"], "nowhere.npz"),
    ],
)
def test_a_mistake_is_exit_2_with_error_and_hint(arguments: list[str], message: str) -> None:
    ended = run_command("advise", *arguments)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert "\nhint: " in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def train(
    folder: Path, optimizer: OptimizerConfig, epochs: int, model: str = "mlp"
) -> tuple[dict[str, Any], list[str]]:
    """Runs the stages as `tfday7.train` does; returns what run.json says of the optimizer, and what was said."""
    said: list[str] = []
    plan = Plan(
        model=ModelConfig(model=model, width=8 if model == "mlp" else None),
        optimizer=optimizer,
        training=TrainingConfig(epochs=epochs),
        export=ExportConfig(export=""),
    )
    plan.check_names()
    stages.run(plan, RunFolder(folder), {"optimizer": optimizer.optimizer, "epochs": str(epochs)}, say=said.append)
    return RunFolder(folder).record()["optimizer"], said


@pytest.mark.slow
def test_auto_is_settled_said_and_recorded_and_more_epochs_keep_it(tmp_path: Path) -> None:
    chosen, said = train(tmp_path / "run", OptimizerConfig(optimizer="auto"), epochs=2)
    sentence = next(sentence for sentence in said if sentence.startswith("optimizer: "))
    assert f"--optimizer={chosen['name']} --learning_rate={chosen['learning_rate']:g}" in sentence
    steps = 2 * -(-1245 // 32)
    assert any(f"{steps} steps" in reason["text"] for reason in chosen["reasons"])
    again, _ = train(tmp_path / "run", OptimizerConfig(optimizer="auto"), epochs=3)
    assert again == chosen


@pytest.mark.slow
def test_a_rate_can_be_auto_alone_and_is_the_one_that_trains(tmp_path: Path) -> None:
    chosen, _ = train(tmp_path / "run", OptimizerConfig(optimizer="adagrad", learning_rate="auto"), epochs=1)
    assert (chosen["name"], chosen["schedule"], chosen["warmup_steps"]) == ("adagrad", "constant", 0)
    trained_with = RunFolder(tmp_path / "run").metrics()[0]["learning_rate"]
    assert trained_with == pytest.approx(chosen["learning_rate"])


@pytest.mark.slow
def test_what_auto_takes_trains_as_well_as_the_settings_that_were_chosen_by_hand(tmp_path: Path) -> None:
    """The quickstart's hand-tuned thirty epochs reach 0.97 to 0.99 on the digits; auto gets there in six."""
    train(tmp_path / "run", OptimizerConfig(optimizer="auto"), epochs=6, model="cnn")
    assert RunFolder(tmp_path / "run").record()["metric"]["validation"] >= 0.97


def test_remedies_start_from_the_rate_that_auto_took(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_flags({"optimizer": "auto", "learning_rate": "", "epochs": "3"})
    folder.update(optimizer={"name": "lion", "learning_rate": 2e-4})
    assert remedies.lower_rate(evidence.from_run(folder), 10) == "--learning_rate=2e-05"
    folder.write_flags({"optimizer": "sgd", "learning_rate": "auto"})
    folder.update(optimizer={"name": "sgd", "learning_rate": 0.05})
    assert remedies.lower_rate(evidence.from_run(folder), 10) == "--learning_rate=0.005"


@pytest.mark.parametrize("arguments", [["--learning_rate=aut"], ["--learning_rate=0"], ["--optimizer=autos"]])
def test_what_is_nearly_auto_is_a_mistake(arguments: list[str]) -> None:
    ended = run_command("train", *arguments, "--only_check_args")
    assert ended.code == 2
    assert arguments[0].partition("=")[2] in ended.err
