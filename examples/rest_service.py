"""A web service of your own in front of a camera: which bin does the thing in view belong in?

edgetl-device run --web 127.0.0.1:8080 &
pip install fastapi httpx uvicorn
EDGETL_URL=http://127.0.0.1:8080 uvicorn --app-dir examples rest_service:app --port 9000
curl http://127.0.0.1:9000/bin
curl -X POST http://127.0.0.1:9000/teach/mug
"""

import os
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException

BINS = {"bolt": "metal", "gear": "metal", "nut": "metal"}  # label → bin; the rest is for a person to look at

app = FastAPI(title="Which bin?")
camera = httpx.Client(
    base_url=os.environ.get("EDGETL_URL", "http://127.0.0.1:8080"),
    auth=("", os.environ.get("EDGETL_PASSWORD", "")),  # of the page, where it has one
    timeout=30,
)


def ask(method: str, path: str, **options: Any) -> dict[str, Any]:
    """The camera's answer; its refusals are handed on as they are."""
    try:
        response = camera.request(method, f"/api/v1/{path}", **options)
    except httpx.TransportError as error:
        raise HTTPException(503, f"the camera does not answer: {error}") from error
    answer: dict[str, Any] = response.json()
    if response.is_error:
        raise HTTPException(response.status_code, answer["error"])
    return answer


@app.get("/bin")
def which_bin() -> dict[str, Any]:
    """The bin for what is in the newest frame."""
    prediction = ask("GET", "prediction")
    known = not prediction["unknown"]
    return {"label": prediction["label"], "bin": BINS.get(prediction["label"], "look at it") if known else "look at it"}


@app.post("/teach/{label}")
def teach(label: str, frames: int = 10) -> dict[str, Any]:
    """Learn the next frames as a label."""
    return ask("POST", "learn", json={"label": label, "frames": frames})
