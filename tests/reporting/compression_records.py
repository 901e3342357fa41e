"""Records of compression, as compression.json holds them."""

from __future__ import annotations

from typing import Any

SEARCH = {
    "candidates": 12,
    "seconds": 600.0,
    "overhead_share": 0.021,
    "groups": [
        {
            "name": "conv<b>",
            "channels": 16,
            "metric_drop": 0.02,
            "macs_saved": 0.25,
            "parameters_saved": None,
            "latency_saved": 0.125,
        },
    ],
    "rejected": {
        "s25_float16": "--max_size_kb=20: about 90.0 expected",
        "float16": "--max_size_kb=20: about 160.0 expected",
    },
}
OUTSIDE = {
    "broken": [{"limit": "max_memory_mb", "allowed": 10, "value": None, "share": None}],
    "large": [
        {"limit": "max_size_kb", "allowed": 20, "value": 41.5, "share": 1.1},
        {"limit": "min_metric", "allowed": 0.9, "value": 0.85, "share": 0.5},
    ],
}


def candidate(name: str, value: float | None = 0.9, **more: Any) -> dict[str, Any]:
    found = {
        "name": name,
        "recipe": {"name": name, "steps": [{"technique": "shrink", "ratio": 0.5}]},
        "metric": {"name": "accuracy", "value": value},
        "test_metric": None,
        "size_bytes": 40_000,
        "gzip_bytes": 20_000,
        "latency_ms": 0.1,
        "latency_ratio": 0.4,
        "pareto": True,
        "failure": "",
        "steps": [{"technique": "shrink", "groups": [{"name": "conv", "before": 16, "after": 8}]}],
    }
    return found | more


def record(**more: Any) -> dict[str, Any]:
    found = {
        "baseline": candidate("float32", 0.91, gzip_bytes=300_000, latency_ratio=1.0, test_metric=0.905, recipe=None),
        "candidates": [candidate("small", test_metric=0.899), candidate("broken", None, failure="no file")],
        "chosen": "small",
        "budget": {"max_accuracy_drop": 0.01},
        "command": "python -m tfday7.compress --recipe=small",
    }
    return found | more
