"""Is the advised strategy within 0.01 of the best of the three? Each of them trained, on each set of photos.

``python -m benchmarks.advise [FOLDER…]``; the advisor's borders were chosen on flowers, litter and cartoons, so
paintings and hands are the ones that can confirm them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from .harness import DATA, Report, need
from .train import SEED, WEIGHTS

FOLDERS = ("pacs/art_painting", "rps", "flowers", "trashnet", "pacs/cartoon")


def main() -> None:
    """Measure and save, after each set of photos."""
    from edgetl.backbones.backbone import BackboneSpec
    from edgetl.data.datasets import find_photos, split
    from edgetl.training.advisor import advise
    from edgetl.training.finetuning import Plan
    from edgetl.training.train import Training, train

    spec = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / "weights" / WEIGHTS)))
    report = Report("advise", "advice against the held-out accuracy of each strategy", SEED, "within 0.01 of the best")
    for name in sys.argv[1:] or FOLDERS:
        dataset = split(find_photos(need(DATA / "data" / name)), 0.2, SEED)
        advice = advise(dataset, spec, SEED)
        found: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as folder:
            os.environ["EDGETL_CACHE"] = str(Path(folder) / "cache")
            for strategy in ("head", "top", "full"):
                plan = None if strategy == "head" else Plan(strategy, seed=SEED)
                options = Training(plan, seed=SEED, tell=print)
                found[strategy] = train(dataset, spec, Path(folder) / strategy, options).accuracy
                print(name, strategy, found[strategy], flush=True)
        short = max(found.values()) - found[advice.strategy]
        report.add(
            photos=name, per_class=advice.photos_per_class, similarity=advice.similarity, advised=advice.strategy,
            **found, short_of_best=short,
        )  # fmt: skip
        report.save()


if __name__ == "__main__":
    main()
