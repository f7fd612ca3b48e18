"""A wall clock that is wrong by years: what `time` and `datetime` tell is shifted, the monotonic clock is not."""

from __future__ import annotations

import datetime
import sys
import time

import pytest

YEAR_S = 365.25 * 86400

_time, _time_ns, _gmtime, _datetime = time.time, time.time_ns, time.gmtime, datetime.datetime


def set_wall_clock(patch: pytest.MonkeyPatch, years: float) -> None:
    """From now on the wall clock is wrong by so many years, for all of edgetl that is loaded."""
    shift_s = years * YEAR_S

    class Shifted(_datetime):
        @classmethod
        def now(cls, tz=None):
            return _datetime.fromtimestamp(_time() + shift_s, tz)

    patch.setattr(time, "time", lambda: _time() + shift_s)
    patch.setattr(time, "time_ns", lambda: _time_ns() + int(shift_s * 1e9))
    patch.setattr(time, "gmtime", lambda seconds=None: _gmtime(_time() + shift_s if seconds is None else seconds))
    for name, module in list(sys.modules.items()):
        if name.startswith("edgetl"):
            if getattr(module, "datetime", None) in (_datetime, *_datetime.__subclasses__()):
                patch.setattr(module, "datetime", Shifted)
            elif getattr(module, "datetime", None) is datetime:
                patch.setattr(module, "datetime", type("datetime", (), {**vars(datetime), "datetime": Shifted}))
