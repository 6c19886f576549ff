"""The synchronous calls that show, watch and change the models of a server.

Knows the methods of the model service. Must not know channels: `sentinova.client` makes the calls.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping

import grpc

from sentinova.base import BaseClient
from sentinova.connection import check_timeout
from sentinova.model_conversion import (
    model_event,
    model_info,
    rollback,
    shadow_request,
    watch_request,
    weights_request,
)
from sentinova.results import CanaryLimits, ModelEvent, ModelInfo, Rollback
from sentinova.v1 import model_service_pb2 as pb


class ModelControl(BaseClient):
    """The part of `sentinova.Client` that is about models."""

    def list_models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Lists the models of the server, ordered by name.

        Args:
            timeout: Deadline of each call (one a page of 1,000 models) in seconds; None: the client's.
        """
        found: list[ModelInfo] = []
        token = ""
        while True:
            request = pb.ListModelsRequest(page_token=token)
            response = self._call(self._open().list_models, request, timeout)
            found += map(model_info, response.models)
            token = response.next_page_token
            if not token:
                return found

    def get_model(self, name: str, *, timeout: float | None = None) -> ModelInfo:
        """Gets one model.

        Args:
            name: Name of the model.
            timeout: Deadline in seconds; None: the client's.

        Raises:
            NotFoundError: There is no model of that name.
        """
        request = pb.GetModelRequest(name=name)
        return model_info(self._call(self._open().get_model, request, timeout).model)

    def watch_models(
        self, names: Iterable[str] = (), *, timeout: float | None = None
    ) -> Generator[ModelEvent, None, None]:
        """Tells what is so, and then every change as it comes.

        First come events of the kind INITIAL, one for each version; then one SYNCED; then the changes. Ends when the
        server stops. The call begins with the first event that is asked for. Closing the iterator (or letting go of it)
        cancels the call.

        Args:
            names: Names of the models to watch, whether there are such models yet or not; none: all models.
            timeout: Deadline of the whole watch in seconds; None: none, whatever the client's is.

        Yields:
            One event after the other, however long it takes.

        Raises:
            AbortedError: Events were taken so slowly that the server cut the watch off (WATCH_TOO_SLOW).
            UnavailableError: The server cannot be reached any more.
        """
        check_timeout(timeout)
        return self._watch(watch_request(names), timeout)

    def load_model(
        self, name: str, *, version: int | None = None, config: str | None = None, timeout: float | None = None
    ) -> ModelInfo:
        """Loads a model as its folder and config.pbtxt are now, and returns when that is done.

        Args:
            name: Name of the model.
            version: A version to load beside those that the version policy chooses. Also brings back one that was
                rolled back or unloaded. None: those of the policy alone.
            config: Text of a config.pbtxt that takes the file's place until the next load; None or empty: the file.
            timeout: Deadline in seconds; None: 600, or the client's where that is longer.

        Returns:
            The model as it is then.

        Raises:
            FailedPreconditionError: A version could not be loaded (MODEL_FAILED), or the server's control mode does not
                allow the call (MODEL_CONTROL_DISABLED).
            ResourceExhaustedError: There is no memory for a version (MEMORY_BUDGET).
        """
        request = pb.LoadModelRequest(name=name, version=version or 0, config=config or "")
        return model_info(self._call(self._open().load_model, request, self._load_limit(timeout)).model)

    def unload_model(self, name: str, *, version: int | None = None, timeout: float | None = None) -> ModelInfo:
        """Unloads a model, or one version of it, once its requests have ended or the drain deadline has passed.

        Args:
            name: Name of the model.
            version: The version to unload; None: the whole model.
            timeout: Deadline in seconds; None: 600, or the client's where that is longer.

        Returns:
            The model as it is then.

        Raises:
            FailedPreconditionError: It is the only available version (LAST_VERSION), or the server's control mode does
                not allow the call (MODEL_CONTROL_DISABLED).
        """
        request = pb.UnloadModelRequest(name=name, version=version or 0)
        return model_info(self._call(self._open().unload_model, request, self._load_limit(timeout)).model)

    def reload_repository(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Has the server look at its model repository now, and returns when all models are as their folders are.

        A version that could not be loaded is no error here: its state tells.

        Args:
            timeout: Deadline in seconds; None: 600, or the client's where that is longer.

        Returns:
            The models as they are then, ordered by name.

        Raises:
            FailedPreconditionError: The server's control mode does not allow the call (MODEL_CONTROL_DISABLED).
        """
        request = pb.ReloadRepositoryRequest()
        response = self._call(self._open().reload_repository, request, self._load_limit(timeout))
        return [model_info(each) for each in response.models]

    def set_label(self, name: str, label: str, version: int, *, timeout: float | None = None) -> ModelInfo:
        """Gives a label to an available version; takes it from the version that had it.

        Args:
            name: Name of the model.
            label: The label: 1 to 63 of a-z, 0-9, "-" and "_", the first a letter.
            version: The version that it is to name.
            timeout: Deadline in seconds; None: the client's.

        Returns:
            The model as it is then.

        Raises:
            FailedPreconditionError: The version is not available (VERSION_NOT_AVAILABLE).
        """
        request = pb.SetModelLabelRequest(name=name, label=label, version=version)
        return model_info(self._call(self._open().set_label, request, timeout).model)

    def delete_label(self, name: str, label: str, *, timeout: float | None = None) -> ModelInfo:
        """Takes a label away.

        Args:
            name: Name of the model.
            label: The label.
            timeout: Deadline in seconds; None: the client's.

        Returns:
            The model as it is then.

        Raises:
            NotFoundError: The model has no such label (LABEL_NOT_FOUND).
        """
        request = pb.DeleteModelLabelRequest(name=name, label=label)
        return model_info(self._call(self._open().delete_label, request, timeout).model)

    def set_weights(
        self,
        name: str,
        weights: Mapping[int | str, int],
        *,
        limits: CanaryLimits | None = None,
        timeout: float | None = None,
    ) -> ModelInfo:
        """Shares the requests that ask for no version between available versions; replaces the weights there were.

        Args:
            name: Name of the model.
            weights: Percent by version (its number or its label), 100 in all; empty: the default version gets all.
            limits: When a version with a smaller share is rolled back by itself; None: as the model's config.pbtxt
                says.
            timeout: Deadline in seconds; None: the client's.

        Returns:
            The model as it is then.

        Raises:
            ValueError: A weight is not from 0 to 100, or they are not 100 in all.
            FailedPreconditionError: A version is not available (VERSION_NOT_AVAILABLE).
        """
        request = weights_request(name, weights, limits)
        return model_info(self._call(self._open().set_weights, request, timeout).model)

    def set_shadow(
        self, name: str, version: int | str | None, *, percent: int = 100, timeout: float | None = None
    ) -> ModelInfo:
        """Has a version compute, unseen, what another one answers, and compares the two; or ends that.

        Args:
            name: Name of the model.
            version: The available version (its number or its label) to be the shadow; None: there is to be none.
            percent: Percent of the documents that are compared, from 1 to 100.
            timeout: Deadline in seconds; None: the client's.

        Returns:
            The model as it is then.

        Raises:
            ValueError: `percent` is not from 1 to 100.
            FailedPreconditionError: The version is not available (VERSION_NOT_AVAILABLE).
        """
        request = shadow_request(name, version, percent)
        return model_info(self._call(self._open().set_shadow, request, timeout).model)

    def rollback_model(self, name: str, *, timeout: float | None = None) -> Rollback:
        """Takes the version that answers by default out of service, and has the highest available one below it answer.

        Where none is available, it is loaded first.

        Args:
            name: Name of the model.
            timeout: Deadline in seconds; None: 600, or the client's where that is longer.

        Returns:
            The model as it is then, and the two versions.

        Raises:
            FailedPreconditionError: There is no version to go back to (NO_PREVIOUS_VERSION).
        """
        request = pb.RollbackModelRequest(name=name)
        return rollback(self._call(self._open().rollback_model, request, self._load_limit(timeout)))

    def _watch(self, request: pb.WatchModelsRequest, timeout: float | None) -> Generator[ModelEvent, None, None]:
        call = self._open().watch_models(request, timeout=timeout, metadata=self._connection.metadata)
        try:
            for response in call:
                yield model_event(response)
        except grpc.RpcError as failure:
            raise self._error(failure) from failure
        finally:
            call.cancel()
