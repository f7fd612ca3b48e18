"""How the built-in backbone (`--weights builtin`) was begun; `research.distillation` took it from there.

    python -m research.pretraining tiny-imagenet-50k.tar.gz -o RUN

trains a MobileNetV2 (alpha 0.35) from random weights on Tiny ImageNet, 200 kinds of things at 64 pixels, and
writes `RUN/mobilenet_v2_0.35_96.h5`. No weights are downloaded and no other network is imitated.
`run.json` is the record of the run whose weights were taught further.

One file a question, each importing only from those above it:

    errors.py       what can go wrong
    recipe.py       Recipe: every number of the training run; learning rate and image size over time
    archive.py      the .tar.gz -> arrays in memory
    augment.py      random crops, turns, mirroring and colours, inside the TensorFlow graph
    network.py      the backbone, one training step, the averaged weights
    checkpoint.py   everything needed to go on after an interruption, in one .npz
    linear.py       two linear classifiers, in NumPy alone
    probe.py        how good are frozen features on photos never trained on?
    training.py     the loop over epochs
    compare.py      the probe table of the model card
    __main__.py     the command line
"""
