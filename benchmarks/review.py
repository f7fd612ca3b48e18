"""Do twenty frames that the device asks about teach more than twenty others?

A device knows a few photos of each class. Then it sees others: two hundred are kept, a person labels twenty of them,
and the head is asked about the rest. The twenty are those that the review lists first, those of two other rules, or
any. The rule was chosen with other draws of three of the sets and is confirmed on the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgetl.training.directions import leading_directions
from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.learning.review import directions, review_order, uncertainty
from edgetl_device.statistics import no_statistics, statistics_of

from .harness import Report
from .situations import BACKBONE, Codes, Names, embeddings

SETS = {"flowers": "chosen", "art": "chosen", "trashnet": "chosen", "cartoon": "confirmed", "rps": "confirmed"}
TAUGHT = 5  # photos of each class before
SEEN = 200
LABELLED = 20
MORE = (20, 30, 40)  # frames drawn at random
DRAWS = range(20, 32)  # those before served to choose the rule
REACH = "20 frames of the review teach more than 20 at random; as much as 40 on two sets"


def drawn(name: str, seed: int) -> tuple[Codes, Names, Codes, Names, Codes, Names]:
    """What was taught, what is seen then, and what is asked in the end: codes (n, d) and labels each."""
    codes, labels = embeddings(name)
    generator = np.random.default_rng([19, seed])
    order = generator.permutation(len(labels))
    taught = np.concatenate([order[labels[order] == each][:TAUGHT] for each in np.unique(labels)])
    rest = order[~np.isin(order, taught)]
    seen, asked = rest[:SEEN], rest[SEEN:]
    return codes[taught], labels[taught], codes[seen], labels[seen], codes[asked], labels[asked]


def knowing(codes: Codes, labels: Names) -> Evidence:
    """What a blank device knows of photos."""
    names = [str(label) for label in labels]
    projection = leading_directions(statistics_of(codes, names, "b", "r"))
    nothing = gather(no_statistics("b", codes.shape[1], projection), codes[:0], (), codes[:0], (), "r")
    return extend(nothing, codes, names, "r")


def far_and_unsure(codes: Codes, weights: npt.NDArray[np.float32]) -> list[int]:
    """Greedy k-center, weighted by uncertainty: each time the one that is far from all before it, and uncertain."""
    rows = directions(codes, 0)
    order = [int(weights.argmax())]
    far = 1.0 - rows @ rows[order[0]]
    while len(order) < LABELLED:
        order.append(int((weights * far).argmax()))
        far = np.minimum(far, 1.0 - rows @ rows[order[-1]])
    return order


def main() -> None:
    """Measure and save."""
    report = Report(
        "review",
        f"Accuracy after {TAUGHT} photos of each class and {LABELLED} of {SEEN} frames; {len(DRAWS)} draws; {BACKBONE}",
        reach=REACH,
    )
    for name, role in SETS.items():
        found: dict[str, list[float]] = {}
        for seed in DRAWS:
            taught, taught_labels, seen, seen_labels, asked, truth = drawn(name, seed)
            before = knowing(taught, taught_labels)
            head = fit_head(before, DEFAULT)
            _, probabilities, unknown = head.recognise(seen)
            unsure = uncertainty(probabilities, unknown)
            at_random = np.random.default_rng([23, seed]).permutation(len(seen))
            chosen = {"before": at_random[:0], "review": np.array(review_order(head, seen, 0)[:LABELLED])}
            chosen |= {"unsure alone": np.argsort(-unsure, kind="stable")[:LABELLED]}
            chosen |= {"unsure and far": np.array(far_and_unsure(seen, unsure))}
            chosen |= {f"{count} at random": at_random[:count] for count in MORE}
            for how, rows in chosen.items():
                labels = [str(label) for label in seen_labels[rows]]
                after = extend(before, seen[rows], labels, "r") if len(rows) else before
                told = fit_head(after, DEFAULT)
                right = np.asarray(told.labels)[told.scorer.scores(asked).argmax(axis=1)] == truth
                found.setdefault(how, []).append(float(right.mean()))
        gain = np.subtract(found["review"], found[f"{LABELLED} at random"])
        means = {how: float(np.mean(each)) for how, each in found.items()}
        report.add(
            data=name, role=role, **means, gain=float(gain.mean()), error=float(gain.std(ddof=1) / len(gain) ** 0.5)
        )
    report.save()


if __name__ == "__main__":
    main()
