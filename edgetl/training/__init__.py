"""Data set → RUN: embeddings, the head, fine-tuning, advice."""
