"""History → fitted scenario, with every estimate's interval and its honest label."""

from bposim.calibrate.absence import AbsenceFit
from bposim.calibrate.arrivals import ArrivalFit
from bposim.calibrate.backtest import Backtest
from bposim.calibrate.balking import BalkingFit
from bposim.calibrate.draft import draft_scenario
from bposim.calibrate.duration_fit import DurationFit
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.fit import calibrate
from bposim.calibrate.heads import HeadsFit
from bposim.calibrate.redials import RedialFit
from bposim.calibrate.result import Calibration
from bposim.calibrate.routing import OrderFit
from bposim.calibrate.serving import group_agents
from bposim.calibrate.wrap_up import WrapUp

__all__ = [
    "AbsenceFit",
    "ArrivalFit",
    "Backtest",
    "BalkingFit",
    "Calibration",
    "DurationFit",
    "Estimate",
    "HeadsFit",
    "OrderFit",
    "RedialFit",
    "WrapUp",
    "calibrate",
    "draft_scenario",
    "group_agents",
]
