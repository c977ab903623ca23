"""Reads a folder of event files as TensorBoard does."""

import pathlib

from tensorboard import context
from tensorboard.backend.event_processing import data_provider, event_accumulator, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


def scalars(folder: str | pathlib.Path) -> dict[int, dict[str, list[tuple[int, float]]]]:
    """model -> tag -> steps and values, all there are."""
    result = {}
    for run in sorted(pathlib.Path(folder).iterdir()):
        accumulator = event_accumulator.EventAccumulator(str(run), size_guidance={"scalars": 0})
        accumulator.Reload()
        result[int(run.name.removeprefix("model_"))] = {
            tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]
        }
    return result


def sessions(folder: str | pathlib.Path) -> dict[int, tuple[dict[str, object], dict[str, float]]]:
    """What the HParams page shows of each model: its hyper-parameters and the last value of each metric."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    hparams = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    metadata = hparams.hparams_metadata(request, "")
    experiment = hparams.experiment_from_metadata(
        request, "", True, metadata, hparams.hparams_from_data_provider(request, "", None))
    wanted = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10000, include_metrics=True, aggregation_type=api_pb2.AGGREGATION_AVG,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE,
                          api_pb2.STATUS_RUNNING],
        col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos])
    handler = list_session_groups.Handler(request, hparams, "", wanted)
    result = {}
    for group in handler.run().session_groups:
        values = {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        (session,) = group.sessions
        metrics = {metric.name.tag: metric.value for metric in session.metric_values}
        result[int(session.name.removeprefix("model_"))] = (values, metrics)
    return result
