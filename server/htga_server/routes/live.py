"""Server-sent events."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from htga_server.deps import BrokerDep

router = APIRouter(tags=["live"])


@router.get("/live", response_class=StreamingResponse)
async def live(broker: BrokerDep, run: str | None = None) -> StreamingResponse:
    """What changed, as it changes: events `rows` ({run, step}) and `run` ({run, state})."""
    return StreamingResponse(
        broker.listen(run).events(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
