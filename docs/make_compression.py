"""Writes the figures of docs/compression.md: of benchmarks/compression.py, of the two zoos, and of searches.

python docs/make_compression.py
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figures import HERE, between, bring_up_to_date, measured, table

from tfday7.compression.search import space
from tfday7.compression.search.proposing import GIVEN

PAGE = HERE / "compression.md"
BEGIN = "<!-- figures: python docs/make_compression.py -->\n"
BEGIN_BUDGETS = "<!-- figures of searches: python docs/make_compression.py -->\n"
DROP = 0.01  # Of the searches in `benchmarks/budget.py`.
BEGIN_ZOOS = "<!-- figures of the zoos: python docs/make_compression.py -->\n"
SHOWN = (
    *("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2S", "NASNetMobile", "ResNet50"),
    *("RegNetY016", "DenseNet121", "InceptionV3", "Xception", "VGG16", "ConvNeXtTiny", "lstm", "gru", "bert_like"),
)
HEAD = ("", "accuracy", "file, kB", "packed, kB", "time, of float32's", "the same with AMX")


def figures(record: Mapping[str, Any], normalization: Mapping[str, Any]) -> str:
    """Returns the section's text: a row for each artefact, ours and the peers', then what the rows say."""
    rows, seeds = record["resnet8"], record["seeds"]
    lines = [
        f"A ResNet-8 on Fashion-MNIST, {record['fine_tuning_epochs']} epochs of fine-tuning where there is any, "
        f"{_seeds(seeds)} (`benchmarks/compression.py`, {record['date']},",
        f"{record['hardware']['cpu']}, one thread, one image at a time). Test accuracy; a kB is 1,000 bytes.",
        "",
    ]
    for who, title in (("peer", "TensorFlow's own kit"), ("tfday7", "tfday7")):
        own = {name: row for name, row in rows.items() if row["who"] == who and "accuracy" in row}
        lines += [*table((title, *HEAD[1:]), [_row(name, row) for name, row in own.items()]), ""]
    lines += [*_verdict(record["verdict"], rows), ""]
    for name, found in record["families"].items():
        lines += [*_family(name, found), *(_centered(normalization) if name == "transformer" else []), ""]
    return "\n".join(lines)


def _seeds(seeds: list[int]) -> str:
    return f"medians of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"


def _row(name: str, row: Mapping[str, Any]) -> list[str]:
    with_amx = row.get("latency_ratio_with_amx")
    return [
        f"`{name}`" if row["who"] == "tfday7" else name,
        f"{row['accuracy']:.4f}",
        f"{row['size_bytes'] / 1000:.1f}",
        f"{row['gzip_bytes'] / 1000:.1f}",
        f"{row['latency_ratio']:.2f}",
        "–" if with_amx is None else f"{with_amx:.2f}",
    ]


def _verdict(verdict: Mapping[str, Any], rows: Mapping[str, Any]) -> list[str]:
    single, beaten, beside = verdict.values()
    if single:
        free = [name for name in single if not beaten[name]]
        said = f"- Within a point of float32, at most 0.45 of its time, 20 kB packed and 40 kB: {_listed(single)}."
        found = [said + (f" No peer's row is better in all three than {_listed(free)}." if free else "")]
    else:
        found = ["- No single artefact is within a point of float32, 0.45 of its time, 20 kB packed and 40 kB."]
    matched = [name for name, mine in beside.items() if mine]
    found.append(
        f"- Of {len(beside)} rows of the kit {len(matched)} have one of ours beside them that is faster and smaller "
        "and has their accuracy, less 0.3 points at most."
    )
    for name in (name for name, mine in beside.items() if not mine):
        found.append(f"- Nothing of ours is beside {name} ({rows[name]['accuracy']:.4f}).")
    return found


def _family(name: str, found: Mapping[str, Any]) -> list[str]:
    rows = []
    for row in found["rows"]:
        title = f"`{row['name']}`"
        if row["failure"]:
            rows.append([title, *["–"] * 5])
            continue
        test = "–" if row["test_metric"] is None else f"{row['test_metric']:.4f}"
        size, packed = row["size_bytes"] / 1000, row["gzip_bytes"] / 1000
        rows.append([title, f"{row['metric']['value']:.4f}", test, f"{size:.1f}", f"{packed:.1f}"])
        rows[-1].append("–" if row["latency_ratio"] is None else f"{row['latency_ratio']:.2f}")
    head = (name, "validation", "test, of the frontier", *HEAD[2:5])
    failures = [f"- {row['failure']}." for row in found["rows"] if row["failure"]]
    return [f"The {name} on the words of the standard library, one seed:", "", *table(head, rows), "", *failures]


def _centered(record: Mapping[str, Any]) -> list[str]:
    """Returns what the transformer's files take since its layer normalizations are written in another way."""
    before, since = (
        {kind: f"{record['files'][f'{way} {kind}']['latency_ratio']['cpu']:.2f}" for kind in ("int8", "dynamic")}
        for way in ("keras", "centered")
    )
    return [
        "These times are from before layer normalizations were written by the centered tensor (docs/exporting.md).",
        f"With them, in rounds of their own, `int8` takes {since['int8']} in place of {before['int8']} of the same "
        f"float32 file's time, `dynamic`",
        f"{since['dynamic']} in place of {before['dynamic']} (`benchmarks/layer_normalization.py`, {record['date']}).",
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def zoos(shrunk: Mapping[str, Any], quantized: Mapping[str, Any]) -> str:
    """Returns the section's text: how many architectures shrink, some of them in a table, and every QAT model."""
    return "\n".join([*_shrunk(shrunk), "", *_quantized(quantized), ""])


def _shrunk(record: Mapping[str, Any]) -> list[str]:
    rows = {name: row for name, row in record["rows"].items() if "nothing_goes" not in row}
    exports = [row["export"] for row in rows.values() if "latency_ratio" in row.get("export", {})]
    ratios = [each["latency_ratio"] for each in exports if each["latency_ratio"] is not None]
    said = [
        f"Half the channels of {record['total']} architectures removed (`benchmarks/shrink_zoo.py`, {record['date']}; "
        f"all {_applications(record)} of tf_keras.applications",
        f"and the small models of `keras3_zoo.py`, random weights): {record['passed']} compute what the masked model "
        "computes, to",
        f"{record['allowed']:g} of the largest output, and keep at most {record['allowed_share']:g} of their "
        f"parameters. Of {record['nothing_goes']} more nothing can go.",
    ]
    if ratios:
        low, high = min(ratios), max(ratios)
        said.append(
            f"The float32 `.tflite` files of {len(ratios)} of them take {statistics.median(ratios):.2f} of the time in "
            f"the median ({low:.2f} to {high:.2f}), one thread."
        )
    head = ("half the channels", "parameters", "left", "MACs left", "difference", "time, of the whole model's")
    return [*said, "", *table(head, [_shrunk_row(name, rows[name]) for name in SHOWN if name in rows])]


def _applications(record: Mapping[str, Any]) -> int:
    """Returns how many rows are of tf_keras.applications, whose names begin with a capital."""
    return sum(name[0].isupper() for name in record["rows"])


def _shrunk_row(name: str, row: Mapping[str, Any]) -> list[str]:
    ratio, macs = row.get("export", {}).get("latency_ratio"), row["macs_share"]
    return [
        name,
        f"{row['parameters'][0]:,}",
        f"{row['parameters_share']:.3f}",
        "–" if macs is None else f"{macs:.3f}",
        f"{row['difference']:.0e}",
        "–" if ratio is None else f"{ratio:.2f}",
    ]


def _quantized(record: Mapping[str, Any]) -> list[str]:
    rows, reasons = [], []
    for name, row in record["models"].items():
        agreement = "–" if row["agreement"] is None else f"{row['agreement']:.3f}"
        relative, share = f"{row['relative_difference']:.4f}", f"{row['int8_macs_share']:.0%}"
        rows.append([name, f"{row['largest_difference_steps']:.1f}", relative, agreement, share])
        reasons += [f"- {name}, `{each['layer']}`: {each['reason']}." for each in row["left"]]
    head = ("after QAT", "largest difference, steps", "of the largest output", "same decisions", "MACs in int8")
    said = [
        "Every family trained with rounding, and its int8 file beside the model with fake quantization "
        f"(`benchmarks/qat_zoo.py`, {record['date']});",
        "a step is one of the 256 values that an output of the file can have:",
    ]
    return [
        *said,
        "",
        *table(head, rows),
        *(["", "Left to the calibration of the export:", ""] if reasons else []),
        *reasons,
    ]


def budgets(record: Mapping[str, Any]) -> str:
    """Returns the section's text: what a search, other kits' recipes and chance have found in as much time."""
    minutes = " or ".join(f"{each:g}" for each in sorted({one["minutes"] for one in record["workloads"].values()}))
    grid = sum(not one.uneven and one != GIVEN for one in space.points())
    said = [
        f"What {minutes} minutes find (`benchmarks/budget.py`, {record['date']}, {record['hardware']['cpu']}), beside",
        "other kits' recipes and points drawn at random from the same space, in as much time. The volume behind each",
        "one's frontier on the test split, of the metric's drop (at most 0.1), and packed size and time relative to",
        "the float32 file; more is better, and 0 where no file is both smaller and faster than float32. How far the",
        "search is ahead: 95% of 500 draws of test examples, with repetition, lie between these. A search keeps the",
        f"files of its frontier, the others all that they have made. The space has {grid} points, and uneven ones,",
        "which only a search can have: chance that has made as many has left little to find.",
        "",
    ]
    rows, notes = [], []
    for name, found in record["workloads"].items():
        sets = [found[who] for who in ("search", "peers", "chance")]
        rows.append([name, *(f"{each['hypervolume']:.4f} ({each['made']} files)" for each in sets)])
        rows[-1][1] = rows[-1][1].replace(" files", f" files of {found['search_says']['candidates']}")
        rows[-1] += [" to ".join(f"{each:+.4f}" for each in found["ahead"][who]) for who in ("peers", "chance")]
        rows[-1].append(f"{found['search_says']['overhead_share']:.1%}")
        one, whole = found["chosen"], found["float32"]["test"]
        if one is not None:
            notes.append(
                f"- {name}: chosen is `{one['name']}`, {one['test_metric']:.4f} on test (float32: {whole:.4f}), "
                f"1/{1 / one['gzip_ratio']:.1f} of its packed size, {one['latency_ratio']:.2f} of its time."
            )
            notes += _surer(name, found)
    head = ("workload", "search", "other kits", "chance", "ahead of other kits", "ahead of chance", "deciding")
    return "\n".join([*said, *table(head, rows), *(["", *notes] if notes else []), ""])


def _surer(name: str, found: Mapping[str, Any]) -> list[str]:
    """Returns what half of the drop would have chosen of the same frontier, where the chosen one lost more on test."""
    one, whole = found["chosen"], found["float32"]["test"]
    within = [each for each in found["search"]["frontier"] if each["drop"] <= DROP / 2]
    if whole - one["test_metric"] <= DROP or not within:
        return []
    surer = min(within, key=lambda each: each["gzip_ratio"] * each["latency_ratio"])
    return [
        f"- {name}: a limit holds on validation, where the chosen one lost {100 * one['drop']:.1f} points; on test it "
        f"lost {100 * (whole - one['test_metric']):.2f}. `--max_accuracy_drop={DROP / 2:g}` chooses `{surer['name']}` "
        f"of the same frontier: {surer['test_metric']:.4f} on test, 1/{1 / surer['gzip_ratio']:.1f} of the packed size,"
        f" {surer['latency_ratio']:.2f} of the time."
    ]


def page(text: str) -> str:
    """Returns the page with its figures as in the records."""
    text = between(text, BEGIN, figures(measured("compression"), measured("layer_normalization")))
    text = between(text, BEGIN_ZOOS, zoos(measured("shrink_zoo"), measured("qat_zoo")))
    return between(text, BEGIN_BUDGETS, budgets(measured("budget")))


if __name__ == "__main__":
    bring_up_to_date(PAGE, page)
