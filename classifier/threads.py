"""How torch's threads wait: asleep. Imported before torch is, for its effect alone.

OpenMP threads by default spin while they wait for each other. Where another process wants the same
cores (a worker beside a training run on a laptop), a spinning thread keeps the very thread from
running that it waits for. On two cores that others were using, the same epoch took 25.8 s spinning
and 4.2 s sleeping, and in a second pair of runs, under more load, 78.6 s and 6.6 s.
A setting that the environment already has is left as it is.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
