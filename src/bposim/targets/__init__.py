"""From calibrated uncertainty to the clause: probability, attainable level, price, and targets worth signing."""

from bposim.targets.assess import Assessment, CheapestPlan, assess_target
from bposim.targets.frontier import Frontier, attainable_frontier
from bposim.targets.probability import attainable, probability, wilson
from bposim.targets.recommend import Advice, recommend_targets

__all__ = [
    "Advice", "Assessment", "CheapestPlan", "Frontier", "assess_target", "attainable", "attainable_frontier", "probability",
    "recommend_targets", "wilson",
]  # fmt: skip
