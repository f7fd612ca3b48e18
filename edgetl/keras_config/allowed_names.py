"""What a Keras file may name: classes, functions and number types, each with the modules they may come from.

Only what computes on tensors is here. What runs code from the file (``Lambda``), opens other files (``TFSMLayer``,
the lookup and text layers), or takes a class from a module of its own choice is left out, and so is whatever is new:
a name must be added here, on purpose, before a file may ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KERAS = r"(tf_)?keras(\.src)?"

LAYERS = _names(
    """
    Activation ActivityRegularization AdaptiveAveragePooling2D AdaptiveMaxPooling2D Add AdditiveAttention AlphaDropout
    Attention Average AveragePooling1D AveragePooling2D AvgPool2D BatchNormalization Bidirectional CenterCrop
    Concatenate Conv1D Conv2D Conv2DTranspose Convolution2D Cropping1D Cropping2D CustomScaleLayer Dense DepthwiseConv1D
    DepthwiseConv2D Dot Dropout ELU EinsumDense Flatten Functional GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAvgPool2D GlobalMaxPool2D GlobalMaxPooling1D
    GlobalMaxPooling2D GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
    LayerScale LeakyReLU Masking MaxPool2D MaxPooling1D MaxPooling2D Maximum Minimum Model MultiHeadAttention Multiply
    Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
    SeparableConv2D SeparableConvolution2D Sequential SimpleRNN SimpleRNNCell SlicingOpLambda Softmax SpatialDropout1D
    SpatialDropout2D SpectralNormalization StackedRNNCells StochasticDepth Subtract SyncBatchNormalization TFOpLambda
    ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D
    AugMix AutoContrast CutMix Equalization MixUp RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom Solarization
    """
)
OPERATIONS = _names(
    """
    Abs Absolute Add Amax Amin AveragePool BroadcastTo Cast Clip Concatenate Conv ConvTranspose DepthwiseConv Divide
    DivideNoNan Dot Einsum Elu Erf Exp ExpandDims Flip Floor Gelu GetItem HardSigmoid HardSilu Identity LeakyRelu Log
    LogSoftmax Matmul Max MaxPool Maximum Mean Min Minimum Moveaxis Multiply Negative Normalize Pad Power Prod Ravel
    Reciprocal Relu Relu6 Repeat Reshape Resize Round Rsqrt Selu SeparableConv Sigmoid Silu Slice Softmax Softplus
    Softsign Split Sqrt Square Squeeze Stack Std StopGradient Subtract Sum Swapaxes Tanh Tile Transpose TrueDivide Var
    """
)
INITIALIZERS = _names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros constant
    glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform one ones orthogonal
    random_normal random_uniform truncated_normal normal uniform variance_scaling zero zeros
    """
)
REGULARIZERS = _names(
    """
    L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer
    """
)
CONSTRAINTS = _names(
    """
    MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm
    """
)
ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparsemax
    squareplus swish tanh tanh_shrink threshold
    """
)
NUMBER_TYPES = _names(
    """
    bfloat16 bool float16 float32 float64 int16 int32 int64 int8 mixed_bfloat16 mixed_float16 uint16 uint32 uint8
    """
)
TF_FUNCTIONS = _names(
    """
    __operators__.add __operators__.getitem __operators__.mul __operators__.sub __operators__.truediv cast
    clip_by_value compat.v1.nn.avg_pool compat.v1.nn.max_pool compat.v1.nn.relu6 compat.v1.shape concat
    convert_to_tensor expand_dims identity
    image.resize keras.backend.mean math.abs math.add math.divide math.divide_no_nan math.exp math.l2_normalize
    math.log math.maximum math.minimum math.multiply math.negative math.pow math.reduce_max math.reduce_mean
    math.reduce_min math.reduce_sum math.rsqrt math.scalar_mul math.sigmoid math.sqrt math.square math.subtract
    math.tanh math.truediv multiply nn.avg_pool nn.avg_pool2d nn.bias_add nn.conv2d nn.depthwise_conv2d nn.elu nn.gelu
    nn.leaky_relu nn.log_softmax nn.max_pool nn.max_pool2d nn.relu nn.relu6 nn.sigmoid nn.silu nn.softmax nn.softplus
    nn.swish pad reshape reverse split squeeze stack stop_gradient subtract tile transpose unstack
    """
)

# kind → (names, modules they may come from); files of Keras 2 in .h5 name no module at all
CLASSES: Mapping[str, tuple[frozenset[str], re.Pattern[str]]] = {
    "layer": (
        LAYERS,
        re.compile(
            rf"{_KERAS}(\.(layers|models|engine)(\.[a-z0-9_]+)*|\.applications\.(convnext|inception_resnet_v2))?"
        ),
    ),
    "operation": (OPERATIONS, re.compile(rf"{_KERAS}\.ops(\.[a-z0-9_]+)*")),
    "initializer": (
        INITIALIZERS,
        re.compile(rf"{_KERAS}\.initializers(\.[a-z0-9_]+)*|tensorflow\.python\.ops\.init_ops(_v2)?"),
    ),
    "regularizer": (REGULARIZERS, re.compile(rf"{_KERAS}\.regularizers(\.[a-z0-9_]+)*")),
    "constraint": (CONSTRAINTS, re.compile(rf"{_KERAS}\.constraints(\.[a-z0-9_]+)*")),
    "number type": (
        frozenset(("DTypePolicy", "FloatDTypePolicy", "Policy", "PolicyV1")),
        re.compile(rf"{_KERAS}(\.dtype_policies(\.[a-z0-9_]+)*|\.mixed_precision(\.[a-z0-9_]+)*)?"),
    ),
}
FUNCTION_MODULES = re.compile(rf"builtins|{_KERAS}\.(activations|ops)(\.[a-z0-9_]+)*")
VALUES = frozenset(("__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"))

# the end of a key → what a plain string behind it may be
NAMED_BY_STRING: Mapping[str, frozenset[str]] = {
    "activation": ACTIVATIONS | LAYERS,
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
    "dtype": NUMBER_TYPES,
    "dtype_policy": NUMBER_TYPES,
}
