"""The checks in the order in which they are made: what costs least comes first."""

from __future__ import annotations

from typing import Tuple

from servelens.engine.trust.completeness import completeness
from servelens.engine.trust.curves import curves
from servelens.engine.trust.declare import Check
from servelens.engine.trust.mass import mass
from servelens.engine.trust.pointing import pointing
from servelens.engine.trust.sanity import sanity
from servelens.engine.trust.stability import stability

CHECKS: Tuple[Check, ...] = (completeness, pointing, mass, curves, stability, sanity)
