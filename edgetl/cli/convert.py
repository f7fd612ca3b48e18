"""``edgetl convert``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import is_verbose, note, reports, say, say_wrapped, table
from edgetl_device.errors import InputError
from edgetl_device.head_option import head_option
from edgetl_device.percent import percent

from .embedded import convert_on_embeddings
from .next_step import say_next
from .options import EMB, FILE, KEY, OUTPUT, PHOTOS, RUN, check_bundle_name
from .waited import waited_s

if TYPE_CHECKING:
    from ..conversion.compression import Compressed
    from ..conversion.convert import Converted
    from ..conversion.parity import Parity

QUANTIZATIONS = ("int8", "int8-float-io", "int16x8", "float16", "dynamic", "none")
LOW_AGREEMENT = 0.98  # of a head that is kept
_NOTABLE_BYTES = 50
_NOTABLE_RATIO = 1.02


@click.command(short_help="Turn a RUN into a bundle")
@click.argument("run", required=False, type=RUN)
@click.option("-o", "--output", type=OUTPUT, required=True, help="Bundle to write, NAME.edgetl.")
@click.option("--embeddings", type=EMB,
              help="Of `edgetl embed`, in place of RUN; or where they are now, of a RUN on embeddings.")  # fmt: skip
@click.option("--quantize", type=click.Choice(QUANTIZATIONS), default="int8", show_default=True, help="Number format.")
@click.option("--qat", is_flag=True, help="Quantization-aware fine-tuning first; minutes.")
@click.option(
    "--prune", type=float, metavar="SHARE", help="Set this share of the weights to zero, such as 0.5; minutes."
)
@click.option("--cluster", type=int, metavar="N", help="Let each kernel keep N distinct values, such as 16; minutes.")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs of fine-tuning in each of these.  [default: 600 steps to prune, 200 to cluster, 500 for QAT]",
)
@click.option("--per-tensor", is_flag=True, help="One scale for all channels of a kernel, for hardware that needs it.")
@click.option("--photos", multiple=True, type=PHOTOS,
              help="Where a run's photos are now; with a model file, the photos to convert with.")  # fmt: skip
@click.option("--labels", type=FILE,
              help="The labels of a model file, one a line, in the order of its outputs.")  # fmt: skip
@click.option("--scale", metavar="MIN,MAX", help="What pixels 0 and 255 became in a model file's training.")
@click.option("--resize", type=click.Choice(("crop", "stretch", "letterbox")),
              help="How photos were resized in a model file's training.  "
                   "[default: whichever gets the most labels right]")  # fmt: skip
@click.option("--calibration-samples", type=click.IntRange(1), default=200, show_default=True,
              help="Representative photos, class-balanced.")  # fmt: skip
@click.option("--max-drop", type=float, default=0.01, show_default=True, help="Accuracy that conversion may cost.")
@head_option()
@click.option("--no-classes", is_flag=True, help="A bundle that knows nothing yet and is taught on the device.")
@click.option("--fused", is_flag=True, help="Add model.tflite, backbone and head in one file, for other apps.")
@click.option("--keep-head", is_flag=True,
              help="The same with the last layer that a model file came with, as it is.")  # fmt: skip
@click.option("--export", multiple=True, type=click.Choice(("keras", "onnx")),
              help="Write the float model for other tools too, NAME.keras or NAME.onnx beside OUTPUT.")  # fmt: skip
@click.option("--edgetpu", is_flag=True, help="Add the backbone compiled for the Edge TPU; needs edgetpu_compiler.")
@click.option(
    "--seed", type=click.IntRange(0), help="Seed for calibration, holdout and fine-tuning.  [default: the run's, or 0]"
)
@click.option("--sign", type=KEY, help="Sign with this private key.")
@click.option("--explainable", is_flag=True, help="Let the backbone export its feature map, for explanations.")
@click.option("--inspectable/--no-inspectable", default=None,
              help="Let it give inner maps, for visual inspection.  [default: where that is free: int8]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def convert(
    run: Path | None,
    output: Path,
    embeddings: Path | None,
    scale: str | None,
    **options: Any,
) -> dict[str, Any]:
    """Quantize RUN, fit the head on the result, check it against the float model and pack a bundle.

    RUN is what `edgetl train` made, or any image classifier: a .keras, .h5 or .tflite file, a SavedModel folder, or
    Teachable Machine's zip. A model file needs --photos: they calibrate it, the head is fitted on them, and some are
    held out for the check.
    """
    embedded = None
    if run is not None and (run / "run.json").is_file():
        from ..training.embedded_run import open_embedded_run

        embedded = open_embedded_run(run)
    if embedded is not None or (run is None and embeddings is not None):
        return convert_on_embeddings(run, embeddings, output, options)
    if run is None or embeddings is not None:
        raise InputError("say what to convert: a RUN, or --embeddings EMB")
    from .. import api
    from ..models.keras_files import parsed_scale
    from ..models.tflite_files import is_tflite
    from ..training.runs import is_run

    if run.is_file() or is_run(run) or (run / "saved_model.pb").is_file():  # what is wrong with RUN is said first
        check_bundle_name(output)
    options["photos"] = options["photos"] or None
    done = api.convert(run, output, scale=parsed_scale(scale), verbose=is_verbose(), **options)
    seconds = waited_s()
    shrunk = options["prune"] is not None or options["cluster"] is not None
    _tell(done, seconds, converted_already=run.is_file() and is_tflite(run), shrunk=shrunk)
    if is_verbose():
        from edgetl_device.bundle.bundle import open_bundle

        from ..evaluation.shrinkage_audit import audit_bundle

        note(audit_bundle(open_bundle(output)))
    own_head = {"own_head": done.own_head.to_json()} if done.own_head else {}
    return {
        "path": str(output),
        "size_bytes": output.stat().st_size,
        "quantization": done.quantization,
        "parity": done.parity.to_json(),
        "ops": done.ops,
        "proof": asdict(done.exported.proof),
        "compression": asdict(done.compressed) if done.compressed else None,
        "rounding": done.prepared.to_json() if done.prepared else None,
        "fused": done.fused.to_json() | own_head if done.fused else None,
        "exports": [file.to_json(output) for file in done.exports],
        "edgetpu": done.compiled.to_json() if done.compiled else None,
        "maps": done.manifest.get("maps", []),
        "seconds": seconds,
    }


def cost_of_maps(extra_bytes: int, time_ratio: float) -> str:
    """What inner maps cost a backbone; what is within the noise of a file's layout or of a clock costs nothing."""
    size = f"{extra_bytes / 1e3:.1f} kB more" if extra_bytes >= _NOTABLE_BYTES else "no larger"
    slower = f"{time_ratio:.2f} times the time" if time_ratio > _NOTABLE_RATIO else "no slower"
    return f"{size}, {slower}"


def kept_head_advice(mode: str, agreement: float) -> str | None:
    """What to try where the model's own head says something else on many photos; None where it does not."""
    if agreement >= LOW_AGREEMENT or mode not in ("int8", "int8-float-io"):
        return None
    return "8-bit numbers change that many labels: --quantize int16x8 changes fewer, but is slow; float16 hardly any"


def agreement_line(parity: Parity, worst_class: str) -> str:
    """How the converted pipeline compares with the float one on the held-out photos."""
    drop = max(parity.worst_class_drop, 0.0)
    share = f"{100 * parity.agreement:.1f}".removesuffix(".0")
    lost = f"{worst_class} loses most accuracy, {drop:.3f}" if round(drop, 3) else "no class loses accuracy"
    return f"{parity.samples} held-out photos: {share} % keep their label; {lost}"


def accuracies(parity: Parity, quantization: str, converted_already: bool) -> list[tuple[str, float, str]]:
    """What was held against what, as rows: model, accuracy, interval."""
    from edgetl_device.metrics import wilson_interval

    from ..reports.intervals import spread

    before = "the model as it was" if converted_already else "float model, before conversion"
    shares = ((before, parity.float_accuracy), (f"{quantization}, in the bundle", parity.converted_accuracy))
    return [
        (name, share, spread(wilson_interval(round(share * parity.samples), parity.samples))) for name, share in shares
    ]


def _tell(done: Converted, seconds: float, converted_already: bool, shrunk: bool) -> None:
    parity = done.parity
    rows = done.exported.proof.rows()
    if done.prepared:
        rows.insert(-1, ("corrected for rounding", done.prepared.says()))
    table(("proof", done.quantization), rows)
    say()
    table(("model", "accuracy", "95 % interval"), accuracies(parity, done.quantization, converted_already))
    say_wrapped(agreement_line(parity, done.worst_class), 2)
    if done.compressed:
        say()
        tell_compression(done.compressed, shrunk)
    _tell_extras(done)
    say()
    say(f"wrote {done.path}: {done.size_bytes / 1e6:.1f} MB in {seconds:.0f} s")
    say_next("edgetl-device", "install", done.path)


def tell_compression(bought: Compressed, shrunk: bool) -> None:
    """What fine-tuning did to the backbone.

    Args:
        shrunk: whether it was pruned or clustered; quantization-aware training alone makes nothing smaller.
    """
    if shrunk:
        table(
            ("backbone", "bytes", "zipped"),
            [("as it was", bought.plain_size_bytes, bought.plain_zipped_bytes),
             ("compressed", bought.size_bytes, bought.zipped_bytes)],
        )  # fmt: skip
        zeros = f"{percent(bought.sparsity)} zeros, at most {bought.distinct} values a channel"
        say_wrapped(f"{zeros}; depthwise kernels are neither pruned nor clustered", 2)
    if bought.trained_kernels is not None:
        say(f"all {bought.integer_kernels} kernels of integers were trained with quantizers")


def _tell_extras(done: Converted) -> None:
    for other in done.exports:
        tool = "Keras 3" if other.kind == "keras" else "ONNX"
        say(f"wrote {other.path(done.path)}: the float model for {tool}, {len(other.data) / 1e6:.1f} MB")
    if done.inspectable:
        inner = done.inspectable
        maps = ", ".join("x".join(str(side) for side in each.shape) for each in inner.maps)
        say_wrapped(f"can inspect: inner maps {maps}; {cost_of_maps(inner.extra_bytes, inner.time_ratio)}; the "
                    "embeddings stay the same bytes", 2)  # fmt: skip
    elif done.not_inspectable != "--no-inspectable":
        say_wrapped(f"cannot inspect: {done.not_inspectable}", 2)
    if done.fused:
        file, own = done.fused, done.own_head
        what = "model.tflite" if own is None else "model.tflite, with the model's own head,"
        same = f"{'as the model ' if own else ''}on {percent(file.agreement, 1)} of {file.samples} held-out photos"
        unpacked = f"unzip -p {quote(str(done.path))} model.tflite > model.tflite"
        say_wrapped(f"{what} says the same {same}; get it with `{unpacked}`", 2)
    if done.own_head:
        own = done.own_head
        shares = f"the model is right on {own.float_accuracy:.3f}, model.tflite on {own.converted_accuracy:.3f}"
        say_wrapped(f"with that head {shares}; the head on the device is solved, so that it can learn", 2)
        if advice := kept_head_advice(done.quantization, own.agreement):
            say_wrapped(advice, 2)
    if done.compiled:
        left = sum(mapping.count for mapping in done.compiled.on_cpu)
        say(
            f"Edge TPU compiler {done.compiled.version}: {done.compiled.mapped} operators mapped, "
            f"{left} left to the CPU"
        )
        if done.compiled.on_cpu:
            table(("on the CPU", "count", "why"), [(m.op, m.count, m.status) for m in done.compiled.on_cpu])
