"""cluster: gives each kernel few different values, which compress well, and trains the values."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting

if TYPE_CHECKING:
    import numpy as np

    from tfday7.compression.sparsity import Kernel


@dataclasses.dataclass(frozen=True)
class ClusterSettings(StepSettings):
    """The settings of a step "cluster"."""

    clusters: int = setting(
        16, "The most different values of a kernel; zero is one of them in a pruned one.", minimum=2, maximum=256
    )
    per_channel: bool = setting(False, "So many values for each output of a kernel, instead of for all of it.")
    init: str = setting(
        "kmeans++", "Where k-means starts: at weights far from each other, evenly spaced, or by density.",
        choices=("kmeans++", "linear", "density"),
    )  # fmt: skip
    epochs: int = setting(2, "Training of the values, in passes over the training data.", minimum=0)
    learning_rate: float | None = setting(None, "Of that training; default: the run's own.", above=0)
    distil: str = setting("auto", "Whether training learns from the model as it was.", choices=("auto", "none"))
    skip: str = setting("", "Layers to leave alone (comma list).")
    depthwise: bool = setting(False, "Cluster depthwise kernels, too.")


class Cluster(Technique):
    """See `compression.clustering`. Zeros of earlier steps stay; later steps keep both (`compression.constraints`)."""

    name = "cluster"
    phase = "weights"
    settings = ClusterSettings

    def apply(self, work: Work, settings: ClusterSettings) -> dict[str, Any]:
        """Clusters the kernels of a copy of the model and trains it.

        Raises:
            UserError: no layer is left to cluster, `skip` names an unknown one, too few clusters for a pruned kernel,
                or as `finetune`.
        """
        from tfday7.compression import clustering, constraints
        from tfday7.compression.finetuning import RATE_SHARE, finetune, optimizer_for, validation_metric
        from tfday7.models import load

        model = load(work.model)
        chosen = self._chosen(work, model, settings)
        clustered = {}
        for each in chosen:
            layout = each.layout if settings.per_channel else None
            zeros = _zeros(work, each)
            found = clustering.cluster(each.values, settings.clusters, settings.init, zeros, layout)
            each.weight.variable.assign(found.values)
            clustered[each.weight.path] = found.kept
        kept = constraints.merge(work.kept, clustered)
        constraints.attach(model, kept)
        rate: Any = settings.learning_rate
        if rate is None:  # So few numbers bear the run's own rate, and need it to get anywhere in few epochs.
            share: Any = optimizer_for(work.optimizer).learning_rate
            rate = share / RATE_SHARE
        tuned = finetune(
            dataclasses.replace(work, kept=kept),
            model,
            settings.epochs,
            rate,
            settings.distil,
            [constraints.Keeping()],
            self.name,
        )
        constraints.project(model)
        constraints.detach(model)
        metric = [round(validation_metric(work, each), 6) for each in (work.model, model)]
        work.model, work.kept = model, kept
        return {
            "clusters": settings.clusters,
            "per_channel": settings.per_channel,
            "metric": metric,
            "layers": [_record(each, settings.per_channel) for each in chosen],
            "finetuning": tuned,
        }

    def _chosen(self, work: Work, model: Any, settings: ClusterSettings) -> list[Kernel]:
        """Returns what to cluster; the rest is skipped with a reason."""
        from tfday7.compression.sparsity import kernels
        from tfday7.optimizers.table import OPTIMIZERS

        def leave(layer: str, reason: str) -> None:
            work.skip(self.name, layer, reason)

        optimizer = OPTIMIZERS.get(work.optimizer.optimizer)
        chosen = []
        for each in kernels(model, settings.skip, settings.depthwise, leave):
            sizes = each.layout.sizes(tuple(each.weight.variable.shape))
            several = settings.per_channel and bool(each.layout.outputs)
            weights = sizes[1] * sizes[2] if several else each.values.size
            if weights <= settings.clusters:
                of = "for each output" if several else "in all"
                leave(each.weight.place, f"{weights} weights {of}, no more than the {settings.clusters} clusters")
            elif each.layout.kind == "table" and optimizer is not None and optimizer.legacy and settings.epochs:
                leave(each.weight.place, f"{work.optimizer.optimizer} cannot keep clusters in an embedding")
            else:
                chosen.append(each)
            if settings.clusters < 3 and _zeros(work, each) is not None:
                raise UserError(
                    f"clusters={settings.clusters} for {each.weight.path}, which is pruned: zero is one of them",
                    "give at least 3",
                )
        if not chosen:
            raise UserError("the model has no layer left to cluster", "give fewer layers to skip, or fewer clusters")
        return chosen


def _zeros(work: Work, kernel: Kernel) -> np.ndarray | None:
    kept = work.kept.get(kernel.weight.path)
    return None if kept is None else kept.zeros


def _record(kernel: Kernel, per_channel: bool) -> dict[str, Any]:
    from tfday7.compression.clustering import different

    values = kernel.values
    return {
        "weight": kernel.weight.path,
        "weights": values.size,
        "zeros": int((values == 0).sum()),
        "values": different(values),
        "values_per_output": different(values, kernel.layout) if per_channel else None,
    }


TECHNIQUES.add("cluster", Cluster())
