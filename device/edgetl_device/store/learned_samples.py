"""What heads learn from: the embeddings of samples that are labelled and not pending, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..codes import Int8
from ..errors import HomeError
from .database import Database
from .grouped import listed
from .kept_files import Key

BLOCK_SAMPLES = 1024  # read at once: a megabyte or so, whatever is stored

Block = tuple[list[int], list[str], list[str], Int8]
"""Ids, labels, runtimes and (n, d) int8 raw embeddings of n samples."""

_EMBEDDING = "SELECT id, backbone, runtime, label, raw, time, checksum FROM samples"
# The sign keeps SQLite from the index by label, of which it would read and sort all that is stored.
_LEARNED = "+backbone = ? AND label <> '' AND id NOT IN (SELECT sample FROM pending)"


class LearnedSamples:
    """The part of a store that learners read.

    Attributes:
        database: of the store.
        keeps_summaries: whether :meth:`keep_summary` and :meth:`keep_head` keep anything.
    """

    database: Database
    keeps_summaries = True

    def labels(self, backbone: str) -> tuple[str, ...]:
        """Of stored samples, sorted: one step of the index for each, however many samples it has."""
        return self._labels_in("samples WHERE backbone = ?1", (backbone,))

    def _labels_in(self, rows: str, values: Sequence[str]) -> tuple[str, ...]:
        query = (
            f"WITH RECURSIVE named (label) AS (SELECT min(label) FROM {rows} AND label > '' "
            f"UNION ALL SELECT (SELECT min(label) FROM {rows} AND label > named.label) FROM named "
            "WHERE named.label IS NOT NULL) SELECT label FROM named WHERE label IS NOT NULL"
        )
        return tuple(str(label) for (label,) in self.database.rows(query, values))

    def is_anything_learned(self, backbone: str) -> bool:
        """Whether there is a sample that is not pending."""
        learned = "backbone = ? AND label > '' AND id NOT IN (SELECT sample FROM pending)"  # by the index
        return bool(list(self.database.rows(f"SELECT 1 FROM samples WHERE {learned} LIMIT 1", (backbone,))))

    def count_after(self, backbone: str, after: int) -> int:
        """How many samples have larger ids and are not pending: what a version up to that sample has not learned."""
        query = f"SELECT count(*) FROM samples WHERE {_LEARNED} AND id > ?"
        ((count,),) = self.database.rows(query, (backbone, after))
        return int(count)

    def embeddings(self, backbone: str, dimension: int, after: int = 0, up_to: int | None = None) -> Iterator[Block]:
        """Samples with ``after`` < id ≤ ``up_to`` in blocks: ids, labels, runtimes and (n, d) int8 raw embeddings.

        What is pending is left out.
        """
        condition = f"{_LEARNED} AND id > ? AND (? IS NULL OR id <= ?)"
        query = f"{_EMBEDDING} WHERE {condition} ORDER BY id LIMIT {BLOCK_SAMPLES}"
        while block := list(self.database.rows(query, (backbone, after, up_to, up_to))):
            yield self._block(block, dimension)
            after = block[-1][0]

    def embeddings_of(self, backbone: str, dimension: int, ids: Sequence[int], up_to: int) -> Iterator[Block]:
        """As :meth:`embeddings`, those of these ids alone, up to one."""
        query = f"{_EMBEDDING} WHERE {_LEARNED} AND id <= ? AND id IN (SELECT value FROM json_each(?)) ORDER BY id"
        for start in range(0, len(ids), BLOCK_SAMPLES):
            if block := list(self.database.rows(query, (backbone, up_to, listed(ids[start : start + BLOCK_SAMPLES])))):
                yield self._block(block, dimension)

    def newest_embeddings(self, backbone: str, dimension: int, label: str, most: int, up_to: int) -> Block | None:
        """As :meth:`embeddings`, the newest ``most`` of one label with ids up to one; None where there are none."""
        learned = "backbone = ? AND label = ? AND id NOT IN (SELECT sample FROM pending)"  # by the index
        query = f"{_EMBEDDING} WHERE {learned} AND id <= ? ORDER BY id DESC LIMIT ?"
        block = list(self.database.rows(query, (backbone, label, up_to, most)))
        return self._block(block[::-1], dimension) if block else None

    def samples_of(self, ids: Sequence[int]) -> list[int]:
        """Ids of :meth:`embeddings` → those of the samples, by which a person knows them."""
        return list(ids)

    def kept_summary(self, backbone: str) -> memoryview | None:
        """What :meth:`keep_summary` was given since samples were last taken away, or None."""
        return self.database.kept_summary.read(self.samples_key() | {"backbone": backbone})

    def keep_summary(self, backbone: str, content: bytes) -> None:
        """Keep what is worked out of the samples of a backbone beside the store; whoever does holds the lock."""
        self.database.kept_summary.write(self.samples_key() | {"backbone": backbone}, content)

    def kept_head(self, of: Key) -> memoryview | None:
        """What :meth:`keep_head` was given for the same since something was last taken away, or None."""
        return self.database.kept_head.read(self._head_key() | of)

    def keep_head(self, of: Key, content: bytes) -> None:
        """Keep a head beside the store; whoever does holds the lock. ``of``: all that it depends on besides samples."""
        self.database.kept_head.write(self._head_key() | of, content)

    def keeps_this_head(self, of: Key) -> bool:
        """Whether :meth:`keep_head` was called for the same since something was last taken away."""
        return self.database.kept_head.is_of(self._head_key() | of)

    def samples_key(self) -> Key:
        """Changes with each change of what :meth:`embeddings` gives that is not an addition."""
        return self.database.samples_key()

    def _head_key(self) -> Key:
        state, device = self.database.state(), self.database.device
        return {"device": device, "generation": state.generation, "revision": state.revision}

    def _block(self, rows: Sequence[tuple[Any, ...]], dimension: int) -> Block:
        """Rows of :data:`_EMBEDDING` → what they hold; raises HomeError where one is damaged."""
        for row in rows:
            self.database.check_row("samples", row)
            if len(row[4]) != dimension:
                raise HomeError(f"sample {row[0]} has {len(row[4])} features, expected {dimension}")
        ids, _, runtimes, labels, blobs, *_ = (list(column) for column in zip(*rows, strict=True))
        return ids, labels, runtimes, np.frombuffer(b"".join(blobs), np.int8).reshape(len(ids), dimension)
