"""From calibrated uncertainty to the clause: probability, attainable level, price, and targets worth signing."""

from bposim.targets.assess import Assessment, CheapestPlan, assess_target
from bposim.targets.assess_contract import ContractAssessment, assess_contract
from bposim.targets.audits import audit_curve
from bposim.targets.capability import Capability
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.corridor import CorridorValue, corridor_value
from bposim.targets.drivers import Drivers, target_drivers
from bposim.targets.feasibility import FeasibilityMap
from bposim.targets.frontier import Frontier, attainable_frontier
from bposim.targets.ledger import Ledger
from bposim.targets.lint import Lint
from bposim.targets.matrix import TargetMatrix, target_matrix
from bposim.targets.negotiate import Negotiation, negotiate
from bposim.targets.prices import Prices, price_targets
from bposim.targets.probability import attainable, probability, wilson
from bposim.targets.recommend import Advice, recommend_targets
from bposim.targets.response import Response, best_response
from bposim.targets.sampling import OperatingCurve, SamplingPlan, operating_curve, sampling_plan
from bposim.targets.settle import settle, settle_windows

__all__ = [
    "Advice", "Assessment", "Capability", "CheapestPlan", "Contract", "ContractAssessment", "CorridorValue", "Drivers", "FeasibilityMap", "Frontier", "Ledger", "Lint", "Negotiation", "OperatingCurve", "Prices", "Response", "SamplingPlan", "TargetMatrix", "assess_contract", "assess_target", "attainable", "attainable_frontier", "audit_curve", "best_response", "corridor_value", "load_contract", "negotiate", "operating_curve", "price_targets", "probability", "recommend_targets", "sampling_plan", "settle", "settle_windows", "target_drivers", "target_matrix", "wilson",
]  # fmt: skip
