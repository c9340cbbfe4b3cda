"""On which server a conversation is, or a new one shall be."""

from blocks.errors import BadInput, C500Error, NotFound
from blocks.iiagent.paths import session_id as checked_id
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer, servers
from blocks.iiagent.state import find_session, read_state
from blocks.progress import in_thread


async def server_of(name: str | None, session_id: str | None) -> AgentServer:
    """The server of a task.

    Args:
        name: As it was given; None: that of the conversation, or the only one there is.
        session_id: The conversation that it goes on with.

    Raises:
        BadInput: there are several servers, and nothing says which.
        NotFound: there is no such server, or none has the conversation.
    """
    known = await in_thread(servers)
    if name is not None:
        return known.named(name)
    if session_id is not None:
        return await server_with(session_id)
    only, *others = known.servers
    if others:
        names = ", ".join(server.name for server in known.servers)
        raise BadInput("several agent servers are known", fix=f"name one of {names}", field="server")
    return only


async def server_with(session_id: str) -> AgentServer:
    """The server that a conversation is on: as it is kept here, else the first that has events of it.

    Raises:
        BadInput: that is no session id.
        NotFound: no server that answers has it.
    """
    wanted, known = checked_id(session_id), await in_thread(servers)
    folder = await in_thread(find_session, wanted)
    state = None if folder is None else await in_thread(read_state, folder)
    if state is not None:
        return known.named(state.server)
    silent: list[str] = []
    for server in known.servers:
        try:
            async with AgentRest(server) as rest:
                if await rest.events(wanted):
                    return server
        except C500Error as error:
            silent.append(f"{server.name}: {error.message}")
    told = f"; no answer from {'; '.join(silent)}" if silent else ""
    raise NotFound(
        f"no agent server has the session {wanted}{told}",
        fix="check the id, or name the server: one without events may have files all the same",
        field="session_id",
    )
