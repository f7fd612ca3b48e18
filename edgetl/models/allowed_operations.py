"""TensorFlow operations that a classifier from a stranger may consist of: they compute, and touch nothing else.

An operation that is not here (files, network, Python, tables, loops without an end, or just unknown) is refused by
name. TensorFlow's own mark, ``is_stateful``, would not do: ``ReadFile`` does not carry it.
"""

from __future__ import annotations

from collections.abc import Iterable


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE = _names(
    """
    Abs Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ArgMax ArgMin Assert AvgPool BatchMatMul
    BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd BroadcastArgs BroadcastTo Cast Ceil ClipByValue Concat ConcatV2
    Const Conv1D Conv2D Conv2DBackpropInput Cos CropAndResize Cumsum DepthToSpace DepthwiseConv2dNative Div DivNoNan
    Einsum Elu EnsureShape Equal Erf Erfc Exp ExpandDims Expm1 FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
    Gather GatherNd GatherV2 Greater GreaterEqual HSVToRGB Identity IdentityN ImageProjectiveTransformV2
    ImageProjectiveTransformV3 Inv L2Loss LRN LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot
    LogicalOr MatMul Max MaxPool MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mod Mul Neg NoOp NotEqual OneHot OnesLike
    Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod
    RGBToHSV Range Rank RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear
    ResizeNearestNeighbor Reverse ReverseV2 Rint Round Rsqrt ScaleAndTranslate Select SelectV2 Selu Shape ShapeN
    Sigmoid Sign Sin Size Slice Snapshot Softmax Softplus Softsign SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square
    SquaredDifference Squeeze StatefulPartitionedCall StopGradient StridedSlice Sub Sum Tan Tanh Tile TopKV2 Transpose
    TruncateDiv TruncateMod Unpack Where ZerosLike
    """
)
# harmless, and refused later with the advice to export without augmentation
RANDOM = _names(
    """
    If Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip RngSkip
    StatelessIf StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
    StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2
    TruncatedNormal BitwiseXor Bitcast
    """
)
VARIABLES = _names("ReadVariableOp VarHandleOp Variable VariableV2")
RESTORE = _names("Assign AssignVariableOp RestoreV2") | VARIABLES  # reads what lies in ``variables/``
FORBIDDEN = _names(
    """
    CopyHost CreateSummaryFileWriter DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNumericSummary EagerPyFunc
    ExperimentalCSVDataset FileSystemSetConfiguration FixedLengthRecordDataset FixedLengthRecordDatasetV2
    FixedLengthRecordReader FixedLengthRecordReaderV2 GenerateBigQueryReaderPartitions IdentityReader
    InitializeTableFromTextFile InitializeTableFromTextFileV2 LMDBDataset LMDBReader LoadDataset MatchingFiles
    MatchingFilesDataset PrintV2 PyFunc PyFuncStateless ReadFile ReaderRead ReaderReadUpTo RegisterDataset
    RpcCall RpcClient RpcServer RpcServerStart Save SaveDataset SaveDatasetV2 SaveSlices SdcaFprint SnapshotDataset
    SnapshotDatasetV2 SqlDataset SummaryWriter TFRecordDataset TFRecordReader TFRecordReaderV2 TextLineDataset
    TextLineReader TextLineReaderV2 WholeFileReader WholeFileReaderV2 WriteAudioSummary WriteFile WriteGraphSummary
    WriteHistogramSummary WriteImageSummary WriteRawProtoSummary WriteScalarSummary WriteSummary
    """
)


def first_outside(operations: Iterable[str], allowed: frozenset[str]) -> str | None:
    """The first operation that is not allowed, or None.

    Example:
        >>> first_outside(["Const", "WriteFile"], PURE)
        'WriteFile'
    """
    return next((operation for operation in operations if operation not in allowed), None)
