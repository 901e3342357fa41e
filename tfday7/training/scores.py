"""How good a trained model is on each split, in the metric that decides."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.data import Dataset, Examples, Problem, pipeline
from tfday7.data.scoring import baseline, decisions, head_baselines, head_scores, reconstruction_r2, score
from tfday7.training.objective import output_meaning


def scores(dataset: Dataset, model: Any) -> dict[str, Any]:
    """Returns the field "metric" of run.json: the score on each split, what guessing reaches, and what is behind them.

    Args:
        dataset: what the model was trained on.
        model: a tf_keras model that answers the data's problem.
    """
    problem, meaning = dataset.problem, output_meaning(dataset.problem, model)
    splits = {key: getattr(dataset, key) for key in ("train", "validation", "test")}
    guess = baseline(problem, dataset.train.y, dataset.train.y)
    if problem.task == "reconstruction":
        found = {key: score_of(model, dataset, part) for key, part in splits.items()}
        return {"name": problem.metric, **found, "baseline": guess}
    outputs = {key: pipeline.predict(model, part) for key, part in splits.items()}
    found = {key: score(problem, outputs[key], part.y, meaning) for key, part in splits.items()}
    return {
        "name": problem.metric,
        **found,
        "baseline": guess,
        **_recall(problem, outputs["validation"], np.asarray(dataset.validation.y[:])),
        **_heads(dataset, outputs["test"]),
    }


def score_of(model: Any, dataset: Dataset, part: Examples) -> float:
    """Returns the task's metric of a model on one split of its data."""
    problem = dataset.problem
    if problem.task == "reconstruction":
        return reconstruction_r2(problem, pipeline.predict_in_parts(model, part.x))
    return score(problem, pipeline.predict(model, part), part.y, output_meaning(problem, model))


def _recall(problem: Problem, outputs: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Returns the share of each class's validation examples that are recognised; None for a class without any."""
    if problem.task != "classification":
        return {}
    right = decisions(problem, outputs) == y
    by_class = [right[y == label] for label in range(problem.outputs)]
    return {"class_recall": [float(each.mean()) if each.size else None for each in by_class]}


def _heads(dataset: Dataset, outputs: np.ndarray) -> dict[str, Any]:
    """Returns the scores of each of several targets on the test split beside the mean that decides."""
    problem, test = dataset.problem, dataset.test
    if not problem.heads:
        return {}
    found = head_scores(problem, outputs, np.asarray(test.y[:]))
    guesses = head_baselines(problem, np.asarray(dataset.train.y[:]), np.asarray(dataset.train.y[:]))
    heads = [
        {"target": head.name, "name": head.metric, "test": found[head.name], "baseline": guesses[head.name]}
        for head in problem.heads
    ]
    return {"heads": heads}
