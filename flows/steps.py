"""What every step of the loop shares: done once, tagged, tracked, and linked both ways.

A step is one Prefect flow run and one MLflow run. The MLflow run carries the flow run's id as a tag, the flow run
carries the link to the MLflow run as an artifact. A step that is finished already is not done again: its first
result is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import deployment, flow_run

from feature_store.storage.tables import tables_of
from flows.errors import AsOfError
from flows.identity import code_version
from flows.keys import artifact_key, step_key
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop, current_loop
from lifecycle import run_tags
from lifecycle.moments import iso, parse_moment
from mlflow_plugins.mlflow_run import MlflowRun

_NOTE = "mlflow.note.content"  # what MLflow shows as the description of a run; unlike other tags it may hold links


@dataclass(frozen=True, slots=True)
class Step:
    """One step at work: the loop, the model, the moment it is about, and the MLflow run that records it."""

    loop: Loop
    model: Model
    reference: str
    as_of: datetime
    run: MlflowRun

    def key(self, name: str) -> str:
        """Identity of another step at the same moment."""
        return step_key(name, self.model, self.as_of)


def moment_of(as_of: str | None) -> datetime:
    """The moment a flow run is about: the one given, else its scheduled start.

    Raises:
        AsOfError: a run that nobody scheduled was given no moment.
        MomentError: the text has no time zone.
    """
    if as_of is None:
        scheduled = flow_run.scheduled_start_time
        if scheduled is None:
            raise AsOfError(as_of)
        return parse_moment(scheduled)
    if not isinstance(as_of, str):
        raise AsOfError(as_of)
    return parse_moment(as_of)


def run_name() -> str:
    """Name of a flow run in Prefect's UI: the verb, and the moment it is about (a schedule's start)."""
    as_of = flow_run.parameters.get("as_of") or iso(parse_moment(flow_run.scheduled_start_time))
    return f"{flow_run.flow_name} {as_of}"


def carry_out(
    name: str, reference: str, as_of: str | None, work: Callable[[Step], Result], *, part: str = ""
) -> Result:
    """Do a step once, recorded in both UIs, and answer its result.

    Args:
        name: the verb; with `part` it identifies the step.
        work: what to do; its result is noted when it returns, so a step that was killed is done again.
        part: tells steps of the same name at the same moment apart.
    """
    loop = current_loop()
    model, moment = loop.model(reference), moment_of(as_of)
    key = step_key(name + part, model, moment)
    noted = loop.journal.finished(key)
    if noted is not None:
        return _show(Result.from_json(noted))
    with run_tags.tagged(_tags(name, model, moment)):
        experiment = model.name if name == "train" else f"{model.name} loop"
        with loop.tracker.run(experiment, f"{name}{part} {iso(moment)[:16]}") as run:
            result = work(Step(loop, model, reference, moment, run))
            result = result.linked(_links(loop, run.run_id), _ids(run.run_id))
            run.tags({_NOTE: result.markdown()})
    noted = loop.journal.finish(key, result.to_json())
    return _show(Result.from_json(noted))


def carry_out_again(reference: str, as_of: str | None, work: Callable[[Loop, Model, datetime], Result]) -> Result:
    """Do what may be done at any time and as often as one likes: shown in Prefect, and no run of MLflow's."""
    loop = current_loop()
    result = work(loop, loop.model(reference), moment_of(as_of))
    if flow_run.id:
        result = result.linked({"Prefect run": _flow_run_url(loop)}, {"flow_run_id": str(flow_run.id)})
    return _show(result)


def _tags(name: str, model: Model, as_of: datetime) -> dict[str, str]:
    tags = {
        run_tags.STEP: name,
        run_tags.MODEL: model.name,
        run_tags.AS_OF: iso(as_of),
        run_tags.CODE: code_version(model.path),
        run_tags.DATA: data_version(current_loop(), model),
        run_tags.FLOW_RUN_ID: str(flow_run.id or ""),
        run_tags.FLOW_NAME: str(flow_run.flow_name or ""),
        run_tags.DEPLOYMENT: str(deployment.name or ""),
        "prefect.flow_run_url": _flow_run_url(current_loop()),
    }
    return {key: value for key, value in tags.items() if value}


def data_version(loop: Loop, model: Model) -> str:
    """Versions of the lake's tables as the step found them: `sources/flights@12, sources/weather@9`."""
    tables = [table for source in model.sources for table in tables_of(source) if loop.lake.exists(table)]
    return ", ".join(f"{table}@{loop.lake.version(table)}" for table in tables)


def _flow_run_url(loop: Loop) -> str:
    return f"{loop.settings.prefect_url}/runs/flow-run/{flow_run.id}" if flow_run.id else ""


def _links(loop: Loop, run_id: str) -> dict[str, str]:
    links = {"MLflow run": loop.tracker.run_url(run_id)}
    return links | {"Prefect run": _flow_run_url(loop)} if flow_run.id else links


def _ids(run_id: str) -> dict[str, str]:
    ids = {"mlflow_run_id": run_id}
    return ids | {"flow_run_id": str(flow_run.id)} if flow_run.id else ids


def _show(result: Result) -> Result:
    """Leave the table and the link on the flow run's page."""
    run = result.ids.get("mlflow_run_id")
    if flow_run.id:
        create_markdown_artifact(
            result.markdown(),
            key=artifact_key(result.model, result.verb),
            description=f"{result.verb} {result.model} {result.as_of}{', MLflow run ' + run if run else ''}",
        )
    return result
