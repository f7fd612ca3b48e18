"""``edgetl convert``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import is_verbose, refuse_existing, reports, say, table


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle to write, NAME.edgetl.")
@click.option("--quantize", type=click.Choice(["int8"]), default="int8", show_default=True, help="Number format.")
@click.option("--photos", type=click.Path(path_type=Path), help="Where the run's photos are now, if they moved.")
@click.option("--calibration-samples", type=click.IntRange(1), default=200, show_default=True,
              help="Representative photos, class-balanced.")  # fmt: skip
@click.option("--max-drop", type=float, default=0.01, show_default=True, help="Accuracy that conversion may cost.")
@click.option("--head", type=click.Choice(["predictive", "familiar", "lda", "prototype"]), default="predictive",
              show_default=True, help="Learning rule.")  # fmt: skip
@click.option("--no-classes", is_flag=True, help="A bundle that knows nothing yet and is taught on the device.")
@click.option("--explainable", is_flag=True, help="Let the backbone export its feature map, for explanations.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def convert(
    run: Path,
    output: Path,
    quantize: str,
    photos: Path | None,
    calibration_samples: int,
    max_drop: float,
    head: str,
    no_classes: bool,
    explainable: bool,
    force: bool,
) -> dict[str, Any]:
    """Quantize a RUN, fit the head on the result, check it against the float model and pack a bundle."""
    from ..packing import Options, convert_run
    from ..training import open_run

    opened = open_run(run)
    refuse_existing(output, force)
    options = Options(quantize, calibration_samples, max_drop, head, no_classes, photos, explainable)
    done = convert_run(opened, output, options, is_verbose())
    parity = done.parity
    table(
        ("pipeline", "accuracy"),
        [("float", parity.float_accuracy), (done.quantization, parity.converted_accuracy)],
    )
    say(f"same label on {parity.agreement:.1%} of {parity.samples} held-out photos; "
        f"worst class loses {max(parity.worst_class_drop, 0):.3f}")  # fmt: skip
    say(f"{done.ops['total']} operators, {done.ops['float']} of them float")
    say(f"wrote {output}: {done.size_bytes / 1e6:.1f} MB in {done.seconds:.0f} s; "
        f"next: edgetl-device install {output}")  # fmt: skip
    return {
        "path": str(output),
        "size_bytes": done.size_bytes,
        "quantization": done.quantization,
        "parity": asdict(parity),
        "ops": done.ops,
        "seconds": done.seconds,
    }
