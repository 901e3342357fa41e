"""Whether a file is worth going on with: one that answers as its model does, of a model that has learned its data."""

from __future__ import annotations

from tfday7.compression.records import NOT_FINITE, Candidate
from tfday7.data.dataset import Dataset, Examples
from tfday7.data.scoring import baseline
from tfday7.exporting.parity import shown
from tfday7.exporting.records import Artefact


def broken(artefact: Artefact) -> str:
    """Returns why a file is no candidate; empty where it is one.

    Outputs that part from the Keras model's are a broken conversion, unless the decisions agree all the same: of a
    pruned ResNet-8 one output in 50,000 was 15.5% off where 15% is the limit, and 99% of the decisions were the same.
    A metric that drops is none either: how much of it may go is the budget's to say, and the candidate's metric is the
    file's own.
    """
    if artefact.failure or artefact.parity is None:
        return artefact.failure or "its file was not compared with the Keras model"
    relative, limit = artefact.parity.relative_difference, artefact.parity.limits["relative_difference"]
    if relative is None:
        return NOT_FINITE
    agreement, least = artefact.parity.agreement, artefact.parity.limits.get("agreement")
    agrees = agreement is not None and least is not None and agreement >= least and relative <= 2 * limit
    if relative <= limit or agrees:
        return ""
    return f"its file's outputs part from the Keras model's by {shown(relative)}"


def no_better_than_guessing(given: Candidate, dataset: Dataset, decides: Examples) -> str:
    """Returns that the model answers no better than one that always says the same; "" where it does.

    A model of somebody else's may take its inputs in another way than the data set has them: bytes of images are
    divided by 255 here, and many models do that, or other arithmetic, themselves. All candidates would be judged by it.

    Args:
        given: the model's own file as a candidate.
        dataset: what it is to fit.
        decides: the split that it was scored on.
    """
    score = given.metric["value"]
    guess = baseline(dataset.problem, dataset.train.y, decides.y)
    if score is None or score > guess:
        return ""
    prepared = f" They are prepared as '{dataset.preprocessing}'." if dataset.preprocessing else ""
    return (
        f"the model's {dataset.problem.metric} is {score:.4f}, no better than a constant answer's {guess:.4f}: perhaps "
        f"it has learned nothing (python -m tfday7.diagnose may say why), or takes its inputs otherwise than the data "
        f"have them.{prepared}"
    )
