"""Data set → RUN: embeddings, the head, fine-tuning, advice."""

__all__ = [
    "accelerator",
    "advisor",
    "augmentation",
    "embeddings",
    "finetuning",
    "float_head",
    "network",
    "runs",
    "train",
]
