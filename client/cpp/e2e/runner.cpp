// The runner of the end-to-end tests: reads one JSON object, makes the calls, writes a JSON object a line.
//
// Knows the contract in tests/e2e/README.md and the client's public interface. Judges nothing.

#include <sentinova/client.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using nlohmann::json;
using sentinova::Duration;

/// Gives a member's value; nothing where it is missing or null.
template <class Value>
std::optional<Value> optional_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->template get<Value>();
}

std::optional<Duration> seconds_at(const json& object, const char* key) {
  const auto seconds = optional_at<double>(object, key);
  if (!seconds) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{*seconds});
}

double seconds_of(Duration time) { return std::chrono::duration<double>{time}.count(); }

/// Writes lines, from any thread.
class Output {
 public:
  void write(const json& line) {
    const std::lock_guard lock{mutex_};
    std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }

  void write(const std::string& id, const sentinova::Sentiment& sentiment) {
    json scores = json::object();
    for (const auto& each : sentiment.scores) scores[each.label] = each.score;
    write({{"id", id},
           {"outcome", "result"},
           {"label", sentiment.label},
           {"score", sentiment.score},
           {"scores", scores},
           {"model", sentiment.model},
           {"version", sentiment.version},
           {"token_count", sentiment.token_count},
           {"truncated", sentiment.truncated}});
  }

  void write(const std::string& id, const sentinova::Error& error) {
    const auto retry_after = error.retry_after();
    write({{"id", id},
           {"outcome", "error"},
           {"code", name_of(error.code())},
           {"reason", error.reason()},
           {"field", error.field()},
           {"message", error.message()},
           {"metadata", error.metadata()},
           {"retry_after_seconds", retry_after ? json(seconds_of(*retry_after)) : json()}});
  }

  void write(const std::string& id, const sentinova::Outcome& outcome) {
    if (outcome) {
      write(id, *outcome);
    } else {
      write(id, outcome.error());
    }
  }

 private:
  std::mutex mutex_;
};

/// One order: what to call, and with what.
struct Task {
  explicit Task(const json& order) : order(order) {
    for (const json& each : order.value("documents", json::array())) {
      documents.push_back({each.at("text").get<std::string>(), each.at("id").get<std::string>()});
    }
  }

  sentinova::ClientOptions client_options() const {
    sentinova::ClientOptions options;
    options.address = order.at("address").get<std::string>();
    if (const auto timeout = seconds_at(order, "timeout_seconds")) options.timeout = timeout;
    if (const auto tls = optional_at<json>(order, "tls")) {
      options.tls = sentinova::Tls{
          optional_at<std::string>(*tls, "ca_file").value_or(""),
          optional_at<std::string>(*tls, "cert_file").value_or(""),
          optional_at<std::string>(*tls, "key_file").value_or(""),
          optional_at<std::string>(*tls, "server_name").value_or(""),
      };
    }
    return options;
  }

  sentinova::StreamOptions analysis_options() const {
    const json config = optional_at<json>(order, "config").value_or(json::object());
    sentinova::StreamOptions options;
    options.model = optional_at<std::string>(config, "model").value_or("");
    options.version = optional_at<std::int64_t>(config, "version");
    options.label = optional_at<std::string>(config, "label").value_or("");
    options.routing_key = optional_at<std::string>(config, "routing_key").value_or("");
    options.priority = optional_at<std::uint32_t>(config, "priority").value_or(0);
    if (optional_at<std::string>(config, "long_text").value_or("error") == "truncate") {
      options.long_text = sentinova::LongText::truncate;
    }
    return options;
  }

  std::string model() const { return analysis_options().model; }

  const json& order;
  std::vector<sentinova::Document> documents;
};

void write_outcome(const sentinova::Client& client, const sentinova::Document& document,
                   const sentinova::AnalysisOptions& options, Output& output) {
  try {
    output.write(document.id, client.analyze(document.text, options));
  } catch (const sentinova::Error& error) {
    output.write(document.id, error);
  }
}

void run_unary(const sentinova::Client& client, const Task& task, Output& output) {
  const auto options = task.analysis_options();
  const std::size_t total = task.documents.size() * task.order.value("repeat", std::size_t{1});
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t at = next++; at < total; at = next++) {
      write_outcome(client, task.documents[at % task.documents.size()], options, output);
    }
  };
  std::vector<std::thread> threads;
  for (auto left = task.order.value("concurrency", std::size_t{1}); left > 0; --left) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

void run_batch(const sentinova::Client& client, const Task& task, Output& output) {
  std::vector<std::string> texts;
  for (const auto& document : task.documents) texts.push_back(document.text);
  try {
    const auto outcomes = client.analyze_batch(texts, task.analysis_options());
    for (std::size_t at = 0; at < outcomes.size(); ++at) output.write(task.documents[at].id, outcomes[at]);
  } catch (const sentinova::Error& error) {
    for (const auto& document : task.documents) output.write(document.id, error);
  }
}

void run_stream(const sentinova::Client& client, const Task& task, Output& output) {
  sentinova::StreamOptions options = task.analysis_options();
  options.total_timeout = seconds_at(task.order, "timeout_seconds");
  std::vector<bool> answered(task.documents.size(), false);
  try {
    for (const sentinova::Answer& answer : client.stream(task.documents, options)) {
      output.write(answer.id, answer.outcome);
      answered.at(answer.index) = true;
    }
  } catch (const sentinova::Error& error) {
    for (std::size_t at = 0; at < answered.size(); ++at) {
      if (!answered[at]) output.write(task.documents[at].id, error);
    }
  }
}

void run_cancel(const sentinova::Client& client, const Task& task, Output& output) {
  const sentinova::Cancellation cancellation;
  sentinova::AnalysisOptions options = task.analysis_options();
  options.cancellation = cancellation;
  std::thread giving_up{[&] {
    std::this_thread::sleep_for(seconds_at(task.order, "cancel_after_seconds").value_or(Duration{}));
    cancellation.cancel();
  }};
  write_outcome(client, task.documents.at(0), options, output);
  giving_up.join();
}

void run_health(const sentinova::Client& client, const Task& task, Output& output) {
  std::vector<std::string> services{""};
  if (!task.model().empty()) services.push_back(task.model());
  for (const std::string& service : services) {
    output.write({{"service", service}, {"status", name_of(client.health(service))}});
  }
}

void run_models(const sentinova::Client& client, const Task&, Output& output) {
  for (const sentinova::ModelInfo& model : client.list_models()) {
    json versions = json::array();
    for (const auto& each : model.versions) {
      versions.push_back({{"version", each.version}, {"state", name_of(each.state)}, {"labels", each.labels}});
    }
    output.write(
        {{"model", model.name}, {"default_version", model.default_version.value_or(0)}, {"versions", versions}});
  }
}

void run_watch(const sentinova::Client& client, const Task& task, Output& output) {
  sentinova::WatchOptions options;
  options.timeout = seconds_at(task.order, "timeout_seconds");
  std::vector<std::string> names;
  if (!task.model().empty()) names.push_back(task.model());
  std::size_t left = task.order.value("events", std::size_t{0});
  bool synced = false;
  sentinova::ModelWatch watch = client.watch_models(names, options);
  while (!synced || left > 0) {
    const auto event = watch.next();
    if (!event) throw std::runtime_error("the watch ended by itself");
    if (synced) --left;
    synced = synced || event->kind == sentinova::EventKind::synced;
    output.write({{"kind", name_of(event->kind)},
                  {"model", event->model},
                  {"version", event->version.value_or(0)},
                  {"state", name_of(event->state)}});
  }
  watch.cancel();
}

using Scenario = void (*)(const sentinova::Client&, const Task&, Output&);

const std::map<std::string, Scenario> kScenarios{
    {"unary", run_unary},   {"batch", run_batch},   {"stream", run_stream}, {"cancel", run_cancel},
    {"health", run_health}, {"models", run_models}, {"watch", run_watch},
};

}  // namespace

int main() {
  try {
    json order;
    std::cin >> order;  // (reads no further than the object's end)
    const Task task{order};
    const auto scenario = kScenarios.find(order.at("scenario").get<std::string>());
    if (scenario == kScenarios.end()) throw std::invalid_argument("there is no such scenario");
    const sentinova::Client client{task.client_options()};
    Output output;
    scenario->second(client, task, output);
  } catch (const std::exception& error) {
    std::cerr << "sentinova_e2e: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
