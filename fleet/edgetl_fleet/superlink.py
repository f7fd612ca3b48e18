"""Flower's SuperLink, of which other machines reach what is for nodes and nothing else.

Its Control API, which starts runs of any code here and on all nodes, has no accounts, and since Flower 1.42 it listens
on the port that nodes connect to. So does its Runtime API. ``python -m edgetl_fleet.superlink`` takes the options of
``flower-superlink`` and refuses both to whom is not on this machine.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse

from edgetl_device.web.guard import is_loopback

FOR_NODES = "/v1/fleet/"


class NodesOnly:
    """ASGI: other machines reach :data:`FOR_NODES`.

    Args:
        app: what is guarded.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass it on, or refuse it."""
        if scope["type"] == "lifespan" or scope["path"].startswith(FOR_NODES) or _is_here(scope):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("only on the machine of the SuperLink\n", 403)(scope, receive, send)


def _is_here(scope: Any) -> bool:
    client = scope.get("client")
    return client is not None and is_loopback(client[0])


def guard() -> None:
    """Have Flower put :class:`NodesOnly` around the app that it serves."""
    import flwr.superlink.main as flower

    made = flower.create_app

    def create_app(*args: Any, **options: Any) -> Any:
        app = made(*args, **options)
        app.add_middleware(NodesOnly)
        return app

    flower.create_app = create_app


if __name__ == "__main__":
    from flwr.superlink.cli import flower_superlink

    guard()
    flower_superlink()
