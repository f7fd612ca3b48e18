"""Photos and labels from other tools' exports → a list that ``train`` reads, with the photos beside it."""

__all__ = ["coco", "columns", "cutting", "huggingface", "label_studio", "parquet", "records", "roboflow", "writing"]
