"""`DELETE /v1/jobs/{id}`: cancel a job."""

from litestar import delete
from litestar.di import NamedDependency
from prefect.client.orchestration import PrefectClient

from blocks.keys import ApiKey
from blocks.runs import cancel_run
from deployments.gateway.answers.ownership import TaskId, own_run
from deployments.gateway.intake.admission import Admission
from deployments.gateway.routes.process import Accepted
from deployments.gateway.web.auth import needs


@delete("/v1/jobs/{task_id:str}", opt=needs("submit"), status_code=202, tags=["jobs"])
async def cancel(
    task_id: TaskId,
    prefect: NamedDependency[PrefectClient],
    key: NamedDependency[ApiKey],
    admission: NamedDependency[Admission],
) -> Accepted:
    """Cancel a job: one that waits at once, one that runs as soon as its worker has stopped it.

    A cancelled job ends FAILED with the code CANCELLED; one that is finished answers 409.
    """
    run = await own_run(prefect, key, task_id)
    run = await cancel_run(prefect, run.run_id)
    admission.forget()
    return Accepted(task_id=run.run_id, status=run.status)


handlers = [cancel]
