"""What answers under a lease is asked for by its kind: text calls never reach a model of tensors."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentinova_server.errors import Reason, ServingError
from sentinova_server.serving.analysis import TextClassifier
from sentinova_server.serving.registry import Registry
from sentinova_server.serving.served import classifier_of, is_classifier, lend_classifier, served_by
from sentinova_server.serving.tensor_runner import TensorRunner

# Which kind each is, is all that counts here: they are never asked for an answer.
TEXT, TENSORS = TextClassifier.__new__(TextClassifier), TensorRunner.__new__(TensorRunner)


def registry_of(models, **options):
    """Makes a registry of models by name, each with what its versions from 1 on are; None: one that is loading."""
    registry = Registry(may_be_default=is_classifier, **options)
    for name, versions in models.items():
        registry.add_model(name)
        for number, served in enumerate(versions, 1):
            record = registry.begin(name, number)
            if served is not None:
                registry.publish(record, served)
    return registry


def test_who_serves_is_told_by_kind():
    assert is_classifier(TEXT)
    assert not is_classifier(TENSORS)
    with registry_of({"a": [TEXT]}).lease("a", 1) as record:
        assert served_by(record) is classifier_of(record) is TEXT


def test_a_model_of_tensors_answers_no_text_and_says_whom_to_call():
    registry = registry_of({"image": [TENSORS]})
    with registry.lease("image", None) as record:
        assert served_by(record) is TENSORS
        with pytest.raises(ServingError, match=r"version 1 of model 'image' takes tensors.*ModelInfer") as caught:
            classifier_of(record)
    assert caught.value.reason is Reason.NOT_A_TEXT_MODEL
    assert (caught.value.field, caught.value.metadata) == ("config.model", {"model": "image", "version": "1"})


def test_a_version_is_lent_for_text_as_long_as_it_is_used():
    registry = registry_of({"a": [TEXT], "image": [TENSORS]})
    record = registry.get("a").versions[1]
    with lend_classifier(registry, "a", 1) as lease:
        assert lease.served is TEXT
        assert record.leases == 1
    assert record.leases == 0
    with pytest.raises(ServingError), lend_classifier(registry, "image", 1):
        pytest.fail("tensors were lent for text")
    assert registry.get("image").versions[1].leases == 0


def test_who_does_not_serve_yet_is_not_asked():
    record = registry_of({"a": [None]}).get("a").versions[1]
    with pytest.raises(AssertionError):
        served_by(record)


KINDS = st.lists(st.sampled_from([TEXT, TENSORS]), min_size=1, max_size=6)


@given(KINDS)
def test_the_default_model_is_the_only_text_model(kinds):
    registry = registry_of({f"m{number}": [kind] for number, kind in enumerate(kinds)})
    texts = [f"m{number}" for number, kind in enumerate(kinds) if kind is TEXT]
    only = ["m0"] if len(kinds) == 1 else texts
    if len(only) == 1:
        with registry.lease("", None) as record:
            assert record.model == only[0]
    else:
        with pytest.raises(ServingError, match=r"config\.model is empty") as caught, registry.lease("", None):
            pytest.fail("there is no default model")
        assert caught.value.reason is Reason.INVALID_FIELD


def test_a_model_that_is_still_loading_may_be_a_text_model():
    registry = registry_of({"a": [TEXT], "b": [None]})
    with pytest.raises(ServingError, match=r"config\.model is empty"), registry.lease("", None):
        pytest.fail("whether `a` is the only text model is not known yet")
    registry.publish(registry.get("b").versions[1], TENSORS)
    with registry.lease("", None) as record:
        assert record.model == "a"


@pytest.mark.parametrize("named", ["image", "a"])
def test_a_default_model_that_was_chosen_is_it_whatever_it_serves(named):
    registry = Registry(named, may_be_default=is_classifier)
    for name, served in (("a", TEXT), ("b", TEXT), ("image", TENSORS)):
        registry.add_model(name)
        registry.publish(registry.begin(name, 1), served)
    with registry.lease("", None) as record:
        assert record.model == named


@pytest.mark.parametrize("order", [*itertools.permutations(["a", "image", "other"])])
def test_the_order_in_which_models_come_makes_no_difference(order):
    kinds = {"a": TEXT, "image": TENSORS, "other": TENSORS}
    with registry_of({name: [kinds[name]] for name in order}).lease("", None) as record:
        assert record.model == "a"
