"""How many tokens a call is going to use: a guess that learns, or a true upper bound."""

from controlplane.limiter.estimate.encodings import Encodings
from controlplane.limiter.estimate.estimator import Estimate, Estimator

__all__ = ["Encodings", "Estimate", "Estimator"]
