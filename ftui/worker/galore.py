"""GaLore (https://arxiv.org/abs/2403.03507): AdamW whose moments are those of the gradients' projections to a low rank.

The optimizer is pytorch-optimizer's.  The authors' own package stands still since 2024; APOLLO's (apollo-torch) may not
be used commercially, and pytorch-optimizer's APOLLO projects its updates back, where the paper scales the gradients.
"""

from __future__ import annotations

from typing import Any

from pytorch_optimizer import GaLore
from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector

from ftui.recipe.document import Recipe
from ftui.worker.arguments import betas

LINEAR = ("Linear", "Conv1D")


class ResumableGaLore(GaLore):
    """pytorch-optimizer's GaLore, whose saved state is of tensors and numbers alone, so that a resume may read it."""

    def state_dict(self) -> dict[str, Any]:
        """As ever, with each projector as its matrix and the step that made it."""
        found: dict[str, Any] = super().state_dict()
        found["state"] = {key: self._plain(one) for key, one in found["state"].items()}
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state.get(parameter, {})
                if "projection" in state:
                    projector = GaLoreProjector(
                        rank=group["rank"], update_proj_gap=group["update_proj_gap"], scale=group["scale"],
                        projection_type=group["projection_type"],
                    )
                    projector.ortho_matrix = state.pop("projection")
                    projector.last_svd_step = int(state.pop("projected_at"))
                    state["projector"] = projector

    @staticmethod
    def _plain(state: dict[str, Any]) -> dict[str, Any]:
        if "projector" not in state:
            return state
        projector = state["projector"]
        kept = {name: value for name, value in state.items() if name != "projector"}
        return kept | {"projection": projector.ortho_matrix, "projected_at": projector.last_svd_step}


def optimizer_of(model: Any, recipe: Recipe) -> ResumableGaLore:
    """The optimizer of what trains in `model`: the weights of linear modules by projections, all else as by AdamW."""
    train, head = recipe.train, model.get_output_embeddings()
    weights = {
        id(module.weight) for module in model.modules()
        if type(module).__name__ in LINEAR and module is not head and module.weight.requires_grad
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    thin: dict[str, Any] = {
        "rank": train.galore_rank, "update_proj_gap": train.galore_every, "scale": train.galore_scale,
        "projection_type": "std",
    }
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if id(one) in weights], **thin},
        {"params": [one for one in trained if id(one) not in weights]},
    ]
    # Its list-wise kernels would make as much again as all that isn't projected.
    return ResumableGaLore(
        [group for group in groups if group["params"]], lr=float(train.learning_rate), betas=betas(recipe),
        eps=train.epsilon or 1e-8, weight_decay=train.weight_decay, foreach=False,
    )
