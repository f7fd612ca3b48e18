"""Flower's ClientApp: a device's signed export, as an answer to the server's query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from edgetl_device.bundle.export_file import MAX_EXPORT
from edgetl_device.errors import EdgetlError, InputError
from edgetl_device.files import read_bounded

from .records import failed, packed

app = ClientApp()


@app.query()
def send_export(message: Message, context: Context) -> Message:
    """What this node's device learned; or why it cannot be had, in one line."""
    try:
        record = packed(export_of(context.node_config))
    except EdgetlError as error:
        record = failed(str(error))
    return Message(RecordDict({"export": record}), reply_to=message)


def export_of(config: Mapping[str, object]) -> bytes:
    """The configuration of a node → its device's export.

    Args:
        config: either ``export``, a file of ``edgetl-device export-stats``; or ``home``, a device home, and then
            ``sign``, the key to sign with, ``codes``, whether codes may be sent, and ``floor``, as ``push`` has them.

    Raises:
        InputError: there is neither, or what there is cannot be read.
    """
    path = config.get("export")
    if isinstance(path, str):
        try:
            return read_bounded(Path(path), MAX_EXPORT)
        except OSError as error:
            raise InputError(f"cannot read the export {path}: {error.strerror or error}") from None
    home = config.get("home")
    if not isinstance(home, str):
        raise InputError("this node has neither a home nor an export in its configuration: start it by edgetl-fleet")
    return _of_home(Path(home), config)


def _of_home(folder: Path, config: Mapping[str, object]) -> bytes:
    from edgetl_device.bundle.signing import read_private_key
    from edgetl_device.home import Home
    from edgetl_device.sending.outgoing import outgoing
    from edgetl_device.sending.receipt import machine_mark

    sign, floor = config.get("sign"), config.get("floor", 1)
    key = read_private_key(Path(sign)) if isinstance(sign, str) else None
    learner = Home(folder).learner()
    try:
        mark = machine_mark(folder)
        codes = config.get("codes", True) is not False
        return outgoing(learner, floor=floor if isinstance(floor, int) else 1, codes=codes, key=key, machine=mark).data
    finally:
        learner.store.close()
