"""How one recipe is trained: data, augmentation, models, the loop, checkpoints, export and prediction.

Nothing here imports Ray but `worker`, which is the Ray Train side of a trial.
"""

import os

# Read by OpenMP when torch is loaded. A thread that waits for its siblings spins; on a machine that others
# use too, long spinning takes the very core that a sibling needs, and training slows down many times over.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
