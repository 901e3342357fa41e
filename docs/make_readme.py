"""Writes the figures of README.md and README.zh.md from the benchmarks' records: python docs/make_readme.py"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figures import HERE, between, bring_up_to_date, measured, table

PAGES = {"en": HERE.parent / "README.md", "zh": HERE.parent / "README.zh.md"}
COMPRESSION = "<!-- compression: python docs/make_readme.py -->\n"
OVERHEAD = "<!-- overhead: python docs/make_readme.py -->\n"
# Of the rows in docs/compression.md: what each kit offers for a small file, in the order of their size.
ROWS = ("float32", "converter int8", "TFMOT PQAT 80%", "half the channels by hand, distilled, int8", "qat",
        "prune80_int8", "shrink25_int8", "shrink_by_hand_int8")  # fmt: skip
WORKLOADS = {"digits_mlp": "digits, mlp", "digits_cnn": "digits, cnn", "fashion_resnet8": "Fashion-MNIST, resnet8"}
WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "compression": ("ResNet-8, Fashion-MNIST", "made by", "accuracy", "file, kB", "packed, kB", "time"),
        "theirs": "TensorFlow's kit",
        "float32": "float32, uncompressed",
        "of": "Medians of {seeds} seeds, test accuracy, time as a share of float32's; {cpu}, {date}.",
        "overhead": ("workload", "bare `fit`", "tfday7", "ratio", "range"),
        "rounds": "Medians of {low} to {high} rounds; {cpu}, {cores} cores, {date}.",
    },
    "zh": {
        "compression": ("ResNet-8，Fashion-MNIST", "工具", "准确率", "文件 kB", "gzip 后 kB", "耗时"),
        "theirs": "TensorFlow 自带工具",
        "float32": "float32（未压缩）",
        "of": "{seeds} 个随机种子的中位数，测试集准确率，耗时为与 float32 之比；{cpu}，{date}。",
        "overhead": ("任务", "裸 `fit`", "tfday7", "比值", "范围"),
        "rounds": "重复测量 {low} 至 {high} 次的中位数；{cpu}，{cores} 核，{date}。",
    },
}


def compression(record: Mapping[str, Any], lang: str) -> str:
    """Returns the table of what comes of the same float model."""
    words, rows = WORDS[lang], []
    for name in ROWS:
        row = record["resnet8"][name]
        ours = row["who"] == "tfday7"
        title = words["float32"] if name == "float32" else f"`{name}`" if ours else name
        sizes = (f"{row['size_bytes'] / 1000:.1f}", f"{row['gzip_bytes'] / 1000:.1f}")
        who = "–" if name == "float32" else "tfday7" if ours else words["theirs"]
        rows.append([title, who, f"{row['accuracy']:.4f}", *sizes, f"{row['latency_ratio']:.2f}"])
    said = str(words["of"]).format(
        seeds=len(record["seeds"]), cpu=record["hardware"]["cpu"], date=record["date"]
    )  # fmt: skip
    return "\n".join([*table(words["compression"], rows), "", said, ""])


def overhead(record: Mapping[str, Any], lang: str) -> str:
    """Returns the table of our epochs beside bare ones."""
    words, rows, hardware = WORDS[lang], [], record["hardware"]
    for row in record["rows"]:
        low, high = row["ratio_range"]
        times = (f"{row['bare_epoch_ms']:,.1f} ms", f"{row['tfday7_epoch_ms']:,.1f} ms")
        rows.append([WORKLOADS[row["workload"]], *times, f"**{row['ratio']:.2f}**", f"{low:.2f}–{high:.2f}"])
    rounds = [row["rounds"] for row in record["rows"]]
    circumstances = {"cpu": hardware["cpu"], "cores": hardware["cores"], "date": record["date"]}
    said = str(words["rounds"]).format(low=min(rounds), high=max(rounds), **circumstances)
    return "\n".join([*table(words["overhead"], rows), "", said, ""])


def page(text: str, lang: str) -> str:
    """Returns the page in one language with its figures as in the records."""
    text = between(text, COMPRESSION, compression(measured("compression"), lang))
    return between(text, OVERHEAD, overhead(measured("train_overhead"), lang))


if __name__ == "__main__":
    for language, path in PAGES.items():
        bring_up_to_date(path, functools.partial(page, lang=language))
