// The models of a server, and its health.

#include <gtest/gtest.h>

#include "fake_server.h"

namespace sentinova::test {
namespace {

v1::Model full_model() {
  v1::Model model;
  model.set_name("full");
  model.set_backend("openvino");
  model.set_default_version(2);
  model.set_message("ill");
  model.set_shadow_version(1);
  model.set_loaded(true);
  auto& version = *model.add_versions();
  version.set_version(2);
  version.set_state(v1::MODEL_VERSION_STATE_FAILED);
  version.set_state_message("no file");
  version.mutable_state_time()->set_seconds(1'700'000'000);
  version.mutable_state_time()->set_nanos(5'000);
  auto& input = *version.add_inputs();
  input.set_name("ids");
  input.set_datatype("INT64");
  input.add_shape(-1);
  input.add_shape(-1);
  version.add_outputs()->set_name("logits");
  version.add_labels("negative");
  version.add_labels("positive");
  version.set_max_tokens(128);
  version.set_format("paddle");
  version.set_precision("int8");
  version.set_memory_bytes(1234);
  version.add_version_labels("canary");
  version.set_weight(10);
  auto& weight = *model.add_weights();
  weight.set_version(2);
  weight.set_percent(10);
  auto& comparison = *model.add_comparisons();
  comparison.set_version(1);
  comparison.set_baseline(2);
  comparison.set_documents(10);
  comparison.set_agreed(9);
  comparison.set_mean_distance(0.25);
  comparison.set_max_distance(0.5);
  comparison.set_latency_ratio(1.5);
  comparison.set_dropped(3);
  comparison.set_failed(4);
  comparison.set_live(true);
  return model;
}

TEST(Models, AreListedOverAllPages) {
  FakeServer server;
  for (const char* name : {"a", "b", "c", "d", "e"}) server.models.emplace_back().set_name(name);
  std::string names;
  for (const ModelInfo& model : server.client().list_models()) names += model.name;
  EXPECT_EQ(names, "abcde");
  EXPECT_EQ(server.calls, 3);
}

TEST(Models, HaveEveryField) {
  FakeServer server;
  server.models = {full_model()};
  const ModelInfo model = server.client().get_model("full");
  EXPECT_EQ(model.name, "full");
  EXPECT_EQ(model.backend, "openvino");
  EXPECT_EQ(model.default_version, 2);
  EXPECT_EQ(model.message, "ill");
  EXPECT_EQ(model.shadow_version, 1);
  EXPECT_TRUE(model.loaded);
  ASSERT_EQ(model.weights.size(), 1U);
  EXPECT_EQ(model.weights[0].version, 2);
  EXPECT_EQ(model.weights[0].percent, 10U);
  ASSERT_EQ(model.versions.size(), 1U);
  const VersionInfo& version = model.versions[0];
  EXPECT_EQ(version.version, 2);
  EXPECT_EQ(version.state, VersionState::failed);
  EXPECT_EQ(name_of(version.state), "FAILED");
  EXPECT_EQ(version.state_message, "no file");
  EXPECT_EQ(version.state_time, Time{1'700'000'000s + 5us});
  ASSERT_EQ(version.inputs.size(), 1U);
  EXPECT_EQ(version.inputs[0].name, "ids");
  EXPECT_EQ(version.inputs[0].datatype, "INT64");
  EXPECT_EQ(version.inputs[0].shape, (std::vector<std::int64_t>{-1, -1}));
  EXPECT_EQ(version.outputs.at(0).name, "logits");
  EXPECT_EQ(version.labels, (std::vector<std::string>{"negative", "positive"}));
  EXPECT_EQ(version.max_tokens, 128);
  EXPECT_EQ(version.format, "paddle");
  EXPECT_EQ(version.precision, "int8");
  EXPECT_EQ(version.memory_bytes, 1234);
  EXPECT_EQ(version.version_labels, (std::vector<std::string>{"canary"}));
  EXPECT_EQ(version.weight, 10U);
}

TEST(Models, HaveEveryFieldOfAComparison) {
  FakeServer server;
  server.models = {full_model()};
  const Comparison comparison = server.client().get_model("full").comparisons.at(0);
  EXPECT_EQ(comparison.version, 1);
  EXPECT_EQ(comparison.baseline, 2);
  EXPECT_EQ(comparison.documents, 10);
  EXPECT_EQ(comparison.agreed, 9);
  EXPECT_EQ(comparison.mean_distance, 0.25);
  EXPECT_EQ(comparison.max_distance, 0.5);
  EXPECT_EQ(comparison.latency_ratio, 1.5);
  EXPECT_EQ(comparison.dropped, 3);
  EXPECT_EQ(comparison.failed, 4);
  EXPECT_TRUE(comparison.live);
}

TEST(Models, MayLackWhatIsNotSo) {
  FakeServer server;
  server.models.emplace_back().set_name("bare");
  server.models[0].add_versions()->set_state(static_cast<v1::ModelVersionState>(77));
  const ModelInfo model = server.client().get_model("bare");
  EXPECT_FALSE(model.default_version);
  EXPECT_FALSE(model.shadow_version);
  EXPECT_FALSE(model.versions.at(0).state_time);
  EXPECT_EQ(model.versions[0].state, VersionState::unknown);
}

TEST(Models, ThatDoNotExistAreAnError) {
  const FakeServer server;
  const Error error = error_of([&] { server.client().get_model("nope"); });
  EXPECT_EQ(error.code(), StatusCode::not_found);
  EXPECT_EQ(error.reason(), "MODEL_NOT_FOUND");
}

TEST(Health, TellsOfTheServerAndOfServices) {
  const FakeServer server;
  server.set_serving("model", false);
  const Client client = server.client();
  EXPECT_EQ(client.health(), ServingStatus::serving);
  EXPECT_EQ(client.health("model"), ServingStatus::not_serving);
  EXPECT_EQ(client.health("nope"), ServingStatus::service_unknown);
  EXPECT_EQ(name_of(client.health()), "SERVING");
}

TEST(Health, SaysWhetherTheServerIsReady) {
  FakeServer server;
  const Client client = server.client();
  EXPECT_TRUE(client.is_ready());
  server.set_serving("", false);
  EXPECT_FALSE(client.is_ready());
  server.stop();
  EXPECT_FALSE(client.is_ready());
  EXPECT_EQ(error_of([&] { client.wait_until_ready(200ms); }).reason(), "NOT_READY");
  server.start();
  client.wait_until_ready(kPatience);
  EXPECT_TRUE(client.is_ready());
}

}  // namespace
}  // namespace sentinova::test
