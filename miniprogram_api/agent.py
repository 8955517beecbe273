"""The agent's side: so far only who I am; acting for others needs mandates."""

from backend.identity import queries as identity
from backend.identity.views import AgentMe
from miniprogram_api.endpoints import AGENT, Call, endpoint

_TAG = "代办员"


@endpoint("GET", "/agent/me", summary="代办员账号", tag=_TAG, roles=AGENT, answer=AgentMe)
async def me(call: Call) -> AgentMe:
    return await identity.agent_me(actor=call.actor)
