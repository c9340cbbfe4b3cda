"""A form in the Prefect UI, shown by pausing the flow run, that need not be answered for the run to go on.

`prefect.flow_runs.pause_flow_run` waits for the form alone; this looks at it once in a while, beside whatever else the
run waits for. It saves the form before it pauses, so that no answer comes too early, and reads an answer that was given
to an earlier attempt of the run, which Prefect 3.8 forgets to hand over.
"""

from typing import Any
from uuid import UUID

from httpx import HTTPStatusError, codes
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import PrefectHTTPStatusError
from prefect.input import RunInput, keyset_from_base_key
from prefect.states import Paused

from blocks.errors import Stopped

NEVER_S = 3600
"""A pause ends by itself so much later than we end it: a run whose pause ends by itself fails."""


class PausedForm:
    """One form on one flow run; the first to be shown comes first, others of the same run wait for their turn.

    Args:
        flow_run_id: The run.
        key: Of the form: only `[a-z0-9-]`. In a later attempt of the run the same key is the same form.
        form: Its fields, all with defaults.
        within_s: Seconds for which it may be shown.
    """

    def __init__(self, flow_run_id: UUID, key: str, form: type[RunInput], within_s: float) -> None:
        self._run_id, self._key, self._form, self._within_s = flow_run_id, key, form, within_s
        self._keys: Any = keyset_from_base_key(f"paused-{key}")
        self._tried = False

    async def look(self) -> RunInput | None:
        """Show it if it is not shown yet, and see whether somebody sent it; None while nobody did.

        Raises:
            Stopped: the run was cancelled, or has ended, while it waited.
            httpx.HTTPError, prefect.exceptions.PrefectException: the server does not answer, or refuses.
        """
        async with get_client() as client:
            run = await client.read_flow_run(self._run_id)
            if run.state is None or run.state.is_final() or run.state.is_cancelling():
                raise Stopped("the flow run was ended while it waited", fix="start it again to go on")
            if paused_by(run) == self._key:
                self._tried = True
            elif self._key in (run.empirical_policy.pause_keys or ()):  # it was shown, now or to an earlier attempt
                return await self._form.aload(self._keys, flow_run_id=self._run_id)
            elif run.state.is_running():
                await self._show(client)
            return None

    async def take_down(self) -> None:
        """Have the run go on without an answer, if it is this form that it waits for."""
        if self._tried:
            async with get_client() as client:
                await go_on(client, self._run_id, self._key)

    async def _show(self, client: PrefectClient) -> None:
        """Pause the run; the server refuses where another form of it was faster, and then it is tried again."""
        self._tried = True  # whether or not the server's answer arrives
        try:
            await self._form.asave(self._keys, flow_run_id=self._run_id)
        except (PrefectHTTPStatusError, HTTPStatusError) as error:
            if error.response.status_code != int(codes.CONFLICT):  # saved before
                raise
        state = Paused(timeout_seconds=int(self._within_s) + NEVER_S, reschedule=False, pause_key=self._key)
        state.state_details.run_input_keyset = self._keys
        await client.set_flow_run_state(self._run_id, state)


async def go_on(client: PrefectClient, flow_run_id: UUID, key: str) -> bool:
    """End the pause of a form with this key, or whose key begins so; whether the run was paused by it.

    Args:
        client: The server.
        flow_run_id: The run.
        key: The form's key, or how it begins.
    """
    if not (paused_by(await client.read_flow_run(flow_run_id)) or "").startswith(key):
        return False
    await client.resume_flow_run(flow_run_id, run_input={})
    return True


def paused_by(run: FlowRun) -> str | None:
    """The key of the pause in which a run is; None when it is in none."""
    return run.state.state_details.pause_key if run.state and run.state.is_paused() else None
