"""Data set → RUN: embeddings, the head, fine-tuning, advice."""

__all__ = [
    "accelerator",
    "advisor",
    "augmentation",
    "directions",
    "embeddings",
    "finetuning",
    "float_head",
    "network",
    "runs",
    "train",
    "watching",
]
