"""What a device records of what it sees while the power fails; see :mod:`power_cut_sessions`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from power_cut_sessions import Ledger, Session

from edgetl_device.store.history import History
from edgetl_device.store.history_event import ENDED, OPEN, Event, Selection


class Recording(Session):
    """Events begin, end, are deleted by number, label and all at once, and give way where there are too many."""

    name = "history"
    STEPS = ("record",) * 6 + ("end", "end", "delete", "delete", "delete label", "clear", "reopen", "read")

    def __init__(self, root: Path, bundles: tuple[Path, Path], seed: int) -> None:
        super().__init__(root, bundles, seed)
        self.ledger = {"events": {}}
        self.pictures: dict[int, bytes] = {}

    def prepare(self) -> None:
        self.home.folder.mkdir(parents=True)
        if self.choose.random() < 0.8:  # otherwise the file is made while somebody cuts
            history = self._open()
            for _ in range(3):
                self._record(history)
            history.close()

    def live(self) -> None:
        history = self._open()
        for _ in range(14):
            name = self.choose.choice(self.STEPS)
            with self.step(name):
                if name == "reopen":
                    history.close()
                    history = self._open()
                else:
                    getattr(self, f"_{name.replace(' ', '_')}")(history)
        history.close()

    def start_again(self) -> None:
        history = self._open()
        history.cut_off_open()
        history.close()

    def look(self, allowed: list[Ledger], acknowledged: Ledger) -> Iterator[str]:
        history = self._open()
        try:
            held = {event.id: event.label for event in history.events(limit=10_000)}
            yield from self.compared({"events": held}, allowed)
            for event in history.events(limit=10_000):
                if event.picture and len(history.snapshot(event.id) or b"") < 1000:
                    yield "a picture is not whole"
            if self.kept("damaged") or list(self.home.folder.glob("*.damaged-*")):
                yield "it was taken for damaged"
            (number,) = history.write([(self._event("kite"), None)])
            if number <= acknowledged["last"]:
                yield f"the number {number} is used twice, {acknowledged['last']} was given already"
            history.close()  # and with it its log
            content = (self.home.folder / "history.sqlite").read_bytes()
            if any(picture in content for picture in acknowledged["gone"]):
                yield "a deleted picture can still be read"
        finally:
            history.close()

    def _open(self) -> History:
        return History(self.home.history_path, max_bytes=1 << 20)

    def _event(self, label: str, state: str = ENDED) -> Event:
        return Event(
            label, datetime.now(timezone.utc).isoformat(timespec="milliseconds"), 1.0, 0.5, "camera", state=state
        )

    def _record(self, history: History) -> None:
        new = []
        for _ in range(self.choose.randint(1, 6)):
            label, state = self.choose.choice(["ball", "box", "kite"]), self.choose.choice([OPEN, ENDED])
            new.append((self._event(label, state), self.choose.randbytes(3000) if self.choose.random() < 0.7 else None))
        ids = history.write(new)
        for number, (event, picture) in zip(ids, new, strict=True):
            self.ledger["events"][number] = event.label
            self.last = max(self.last, number)
            if picture is not None:
                self.pictures[number] = picture

    def _end(self, history: History) -> None:
        going_on = [event for event in history.events(limit=1000) if event.state == OPEN]
        history.write((), [replace(event, state=ENDED) for event in going_on[:3]])

    def _gone(self, ids: list[int]) -> None:
        for number in ids:
            del self.ledger["events"][number]
            if number in self.pictures:
                self.gone.append(self.pictures[number][:64])

    def _delete(self, history: History) -> None:
        some = self.choose.sample(sorted(self.ledger["events"]), min(3, len(self.ledger["events"])))
        history.delete(some)
        self._gone(some)

    def _delete_label(self, history: History) -> None:
        history.delete(Selection("box"))
        self._gone([number for number, label in self.ledger["events"].items() if label == "box"])

    def _clear(self, history: History) -> None:
        history.delete("all")
        self._gone(list(self.ledger["events"]))

    def _read(self, history: History) -> None:
        history.counts()
