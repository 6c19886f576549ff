#include "conversion.h"

#include <stdexcept>

#include "status.h"
#include "utf8.h"

namespace sentinova::internal {
namespace {

constexpr std::size_t kLargestText = std::size_t{1} << 30;  // bytes; no server can be set to take more

Duration duration_from(const google::protobuf::Duration& message) {
  return std::chrono::seconds{message.seconds()} + std::chrono::nanoseconds{message.nanos()};
}

template <class Response>
Outcome outcome_of(const Response& answer) {
  if (answer.has_result()) return sentiment_from(answer.result());
  if (answer.has_error()) return error_from(answer.error());
  return Error{StatusCode::internal, "the server's answer holds neither a result nor an error", {"UNEXPECTED_ANSWER"}};
}

}  // namespace

v1::AnalysisConfig analysis_config(const AnalysisOptions& options) {
  if (options.version && !options.label.empty()) throw std::invalid_argument("give the version or its label, not both");
  check_name("model", options.model);
  check_name("label", options.label);
  check_name("routing_key", options.routing_key);
  v1::AnalysisConfig config;
  config.set_model(options.model);
  if (options.version) config.set_version(*options.version);
  if (!options.label.empty()) config.set_label(options.label);
  config.set_long_text_policy(options.long_text == LongText::truncate ? v1::LONG_TEXT_POLICY_TRUNCATE
                                                                      : v1::LONG_TEXT_POLICY_ERROR);
  config.set_priority(options.priority);
  config.set_routing_key(options.routing_key);
  return config;
}

void check_text(std::string_view text) {
  if (text.size() > kLargestText) {
    throw Error{StatusCode::invalid_argument,
                "the text has " + std::to_string(text.size()) + " bytes, more than any server takes",
                {"TEXT_TOO_LONG"}};
  }
  if (const auto at = first_not_utf8(text)) {
    throw Error{StatusCode::invalid_argument,
                "the text is not UTF-8: byte " + std::to_string(*at) + " does not belong",
                {"TEXT_NOT_UNICODE"}};
  }
}

void check_name(const char* what, std::string_view name) {
  if (first_not_utf8(name)) throw std::invalid_argument(std::string{what} + " is not UTF-8");
}

Sentiment sentiment_from(const v1::SentimentResult& message) {
  Sentiment sentiment;
  sentiment.label = message.label();
  sentiment.score = message.score();
  for (const auto& each : message.scores()) sentiment.scores.push_back({each.label(), each.score()});
  sentiment.model = message.model().name();
  sentiment.version = message.model().version();
  sentiment.token_count = message.token_count();
  sentiment.truncated = message.truncated();
  sentiment.timings = {duration_from(message.timings().tokenization()), duration_from(message.timings().queue()),
                       duration_from(message.timings().inference())};
  return sentiment;
}

Outcome outcome_from(const v1::DocumentResult& answer) { return outcome_of(answer); }

Outcome outcome_from(const v1::StreamAnalyzeSentimentResponse& answer) { return outcome_of(answer); }

}  // namespace sentinova::internal
