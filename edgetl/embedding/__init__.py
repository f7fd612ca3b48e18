"""Photos → embeddings on all of this machine's cores: the one way for training, conversion, evaluation, prediction."""

__all__ = ["crew", "embed", "photo", "worker", "workers"]
