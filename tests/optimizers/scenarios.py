"""What a specialist answers: situations, and the optimizer, the second best, settings and reasons for each."""

from __future__ import annotations

from typing import Any

QUESTION = {"data_kind": "text", "model_kind": "transformer", "parameters": 300_000_000, "goal": "accurate"}
LONG_CNN = {"model_kind": "cnn", "goal": "accurate", "epochs": 90, "examples": 50_000, "batch_size": 128}
BILLION = {"model_kind": "transformer", "parameters": 1_000_000_000}
IMAGENET = {"data_kind": "image", "model_kind": "cnn", "examples": 1_281_167, "epochs": 90}

# inputs -> (optimizer, runner-up, some settings, ids of some reasons)
SCENARIOS: dict[str, tuple[dict[str, Any], str, str, dict[str, Any], set[str]]] = {
    "large transformer, accurate": (
        QUESTION, "adamw", "schedule_free_adamw",
        {"learning_rate": 1e-4, "beta_2": 0.98, "weight_decay": 0.1, "global_clipnorm": 1.0, "schedule": "cosine",
         "warmup_steps": 4000},
        {"transformer", "rate_size", "rate_batch", "decay_large", "clip", "beta_2_transformer"},
    ),
    "transformer of unknown size": (
        {"model_kind": "transformer"}, "adamw", "schedule_free_adamw",
        {"learning_rate": 5e-5}, {"rate_kind", "rate_batch"},  # Half, with 32 sequences in the place of 256.
    ),
    "tiny transformer, short run": (
        {"data_kind": "text", "model_kind": "transformer", "parameters": 900_000, "batch_size": 64, "examples": 14_000,
         "epochs": 5},
        "adamw", "nadam",
        {"learning_rate": 6.8e-4, "warmup_steps": 65},  # 1,095 steps: 0.001 / 2 * sqrt(2000 / 1095).
        {"warmup", "rate_batch", "rate_few_steps", "patience"},
    ),
    "large language model": (
        {**QUESTION, "parameters": 7_000_000_000, "batch_size": 512}, "adamw", "schedule_free_adamw",
        {"beta_2": 0.95, "learning_rate": 1.4e-4}, {"beta_2_large"},
    ),
    "transformer with a budget": ({**QUESTION, "trials": 40}, "adamw", "muon", {}, {"second_muon", "budget_epsilon"}),
    "transformer, fast": (
        {**QUESTION, "goal": "fast"}, "adamw", "schedule_free_adamw", {"schedule": "linear"}, {"schedule_linear"},
    ),
    "BERT on many devices": (
        {**QUESTION, "batch_size": 32_768, "examples": 30_000_000, "epochs": 5}, "lamb", "adamw",
        {"learning_rate": 5e-3, "weight_decay": 0.01 * 10, "warmup_steps": 458}, {"large_batch", "rate_lamb"},
    ),
    "transformer, batch of 2,048": ({**QUESTION, "batch_size": 2048}, "adamw", "lamb", {}, {"second_lamb"}),
    "fine-tuning a large transformer": (
        {**QUESTION, "fine_tuning": True, "examples": 10_000, "epochs": 3}, "adamw", "nadam",
        {"learning_rate": 3e-5, "beta_2": 0.999, "global_clipnorm": 1.0}, {"rate_fine_tuning"},
    ),
    "a billion weights in 16 GB": ({**BILLION, "device_memory_gb": 16}, "lion", "adafactor",
        {"learning_rate": 2e-5, "weight_decay": 0.5}, {"memory", "memory_lion", "decay_lion"},
    ),
    "a billion weights in 12 GB": (
        {**BILLION, "device_memory_gb": 12}, "adafactor", "lion", {"schedule": "constant"}, {"memory_adafactor"},
    ),
    "a billion weights in 8 GB on 8 devices": (
        {**BILLION, "device_memory_gb": 8, "devices": 8}, "adafactor", "lion", {}, {"memory_none", "memory_devices"},
    ),
    "cnn": ({"model_kind": "cnn"}, "adamw", "sgd", {"learning_rate": 1e-3, "beta_2": 0.999}, {"cnn"}),
    "cnn from scratch, long": (
        LONG_CNN, "sgd", "adamw",
        {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3, "schedule": "cosine"},
        {"long_cnn", "rate_linear", "decay_sgd"},
    ),
    "cnn, fast": ({"model_kind": "cnn", "goal": "fast"}, "nadam", "sgd", {"schedule": "linear"}, {"fast"}),
    "ImageNet in an hour": (
        {**IMAGENET, "goal": "accurate", "batch_size": 8191}, "sgd", "adamw",
        {"learning_rate": 3.2, "warmup_steps": 785}, {"warmup_batch"},
    ),
    "ImageNet in minutes": (
        {**IMAGENET, "batch_size": 32_768}, "lars", "sgd", {"learning_rate": 30.0}, {"large_batch_cnn", "rate_lars"},
    ),
    "images of which nothing else is known": ({"data_kind": "image"}, "adamw", "sgd", {}, {"cnn"}),
    "small cnn on few images": (
        {"model_kind": "cnn", "parameters": 85_066, "examples": 1245, "epochs": 30}, "adamw", "sgd",
        {"learning_rate": 3.9e-3, "weight_decay": 0.1, "patience": 6, "warmup_steps": 23}, {"decay_small", "patience"},
    ),
    "recurrent network on signals": (
        {"data_kind": "series", "model_kind": "rnn"}, "rmsprop", "adam",
        {"learning_rate": 1e-3, "rho": 0.9, "global_clipnorm": 1.0}, {"rnn_moving", "rho", "clip"},
    ),
    "recurrent network on text": ({"data_kind": "text", "model_kind": "rnn"}, "adam", "rmsprop", {}, {"rnn_text"}),
    "table": (
        {"data_kind": "tabular"}, "adamw", "nadam", {"learning_rate": 1e-3, "weight_decay": 0.01}, {"tabular"},
    ),
    "small table, short run": (
        {"data_kind": "tabular", "parameters": 385, "examples": 290, "epochs": 60}, "adamw", "nadam",
        {"learning_rate": 1.8e-2, "weight_decay": 0.01}, {"rate_few_steps"},  # 600 steps: 0.01 * sqrt(2000 / 600).
    ),
    "mlp": ({"model_kind": "mlp"}, "adam", "nadam", {"learning_rate": 1e-3}, {"default"}),
    "mlp without any tuning": ({"model_kind": "mlp", "trials": 0}, "adam", "adadelta", {}, {"budget_none"}),
    "embeddings": ({"model_kind": "embedding"}, "adagrad", "adam", {"schedule": "constant"}, {"embedding"}),
    "embeddings, short run": (  # 500 steps; see benchmarks/optimizers.py, text_embedding.
        {"model_kind": "embedding", "examples": 4000, "epochs": 4}, "adam", "adagrad", {}, {"sparse_short"},
    ),
    "one-hot features": ({"data_kind": "tabular", "sparse_gradients": True}, "adagrad", "adam", {}, {"sparse"}),
    "open-ended training": (
        {"model_kind": "cnn", "epochs": 0}, "schedule_free_adamw", "adamw",
        {"schedule": "constant", "learning_rate": 2e-3}, {"open_ended", "schedule_open"},
    ),
    "256 devices": (
        {"model_kind": "transformer", "devices": 256}, "lamb", "adamw", {"batch_size": 32 * 256}, {"batch_devices"},
    ),
}  # fmt: skip
