"""A PyTorch classifier of timm → a .tflite file that `edgetl convert` takes: int8, pixels 0 … 255 in.

python -m venv torch && torch/bin/pip install litert-torch timm
torch/bin/python examples/pytorch_model.py tf_efficientnet_lite0 mine.pt 5 160 photos mine.tflite
edgetl convert mine.tflite --photos photos --labels labels.txt --scale 0,255 -o mine.edgetl

The arguments: timm's name of the model, its state_dict (- for random weights), how many classes, side of the photos in
pixels, and the photos that set the ranges of the integers (- to keep float32).
"""

import sys
from pathlib import Path

import litert_torch
import numpy as np
import timm
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from PIL import Image, ImageOps


class FromPixels(torch.nn.Module):
    """A network of normalised photos (n, 3, h, w) as one of pixels (n, h, w, 3)."""

    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(1, 3, 1, 1))

    def forward(self, pixels):
        return torch.softmax(self.network((pixels.permute(0, 3, 1, 2) - self.mean) / self.std), dim=1)


def calibration(folder: Path, size: int):
    """Up to 200 photos of all classes, and all black and all white, so that the input's range is exact."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photos = [ImageOps.fit(Image.open(f).convert("RGB"), (size, size)) for f in files[:: -(-len(files) // 200)]]
    pixels = [np.asarray(photo, np.float32) for photo in photos]
    return [each[None] for each in (*pixels, 0 * pixels[0], 0 * pixels[0] + 255)]


def main(name: str, weights: str, classes: str, size: str, photos: str, output: str) -> None:
    """Convert, and quantize if there are photos."""
    network = timm.create_model(name, num_classes=int(classes))
    if weights != "-":
        network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    usual = timm.data.resolve_model_data_config(network)
    model = FromPixels(network, usual["mean"], usual["std"]).eval()
    litert_torch.convert(model, (255 * torch.rand(1, int(size), int(size), 3),)).export(output)
    if photos != "-":
        ((signature, ends),) = Interpreter(output).get_signature_list().items()
        work = quantizer.Quantizer(output, recipe.static_wi8_ai8())
        data = [{ends["inputs"][0]: photo} for photo in calibration(Path(photos), int(size))]
        work.quantize(work.calibrate({signature: data})).export_model(output, overwrite=True)


main(*sys.argv[1:])
