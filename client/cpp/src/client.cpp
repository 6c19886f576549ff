#include "sentinova/client.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "conversion.h"
#include "core.h"
#include "exchange.h"
#include "model_conversion.h"
#include "waits.h"
#include "watching.h"

namespace sentinova {

using internal::Away;
using internal::Core;

namespace {

constexpr Duration kLongestCheck = std::chrono::seconds{5};  // of one health check while the server is waited for
constexpr Duration kFirstPause = std::chrono::milliseconds{50};
constexpr Duration kLongestPause = std::chrono::seconds{1};

ClientOptions options_for(std::string address) {
  ClientOptions options;
  options.address = std::move(address);
  return options;
}

ServingStatus serving_status(int number) {
  switch (number) {
    case 1: return ServingStatus::serving;
    case 2: return ServingStatus::not_serving;
    case 3: return ServingStatus::service_unknown;
    default: return ServingStatus::unknown;
  }
}

/// Fills the request with the texts that can be sent; gives for each text its error, or nothing where it was sent.
std::vector<std::optional<Error>> add_texts(const std::vector<std::string>& texts,
                                            v1::BatchAnalyzeSentimentRequest& request) {
  std::vector<std::optional<Error>> refused(texts.size());
  for (std::size_t index = 0; index < texts.size(); ++index) {
    try {
      internal::check_text(texts[index]);
    } catch (const Error& error) {
      refused[index] = error;
      continue;
    }
    v1::Document& document = *request.add_documents();
    document.set_id(std::to_string(index));
    document.set_text(texts[index]);
  }
  return refused;
}

/// Joins the answers, in order, with what was not sent.
std::vector<Outcome> join(const v1::BatchAnalyzeSentimentResponse& response,
                          const std::vector<std::optional<Error>>& refused) {
  const auto sent = std::count(refused.begin(), refused.end(), std::nullopt);
  if (response.results_size() != sent) {
    throw Error{StatusCode::internal,
                "the server gave " + std::to_string(response.results_size()) + " answers for " + std::to_string(sent) +
                    " documents",
                {"UNEXPECTED_ANSWER"}};
  }
  std::vector<Outcome> outcomes;
  outcomes.reserve(refused.size());
  auto answer = response.results().begin();
  for (const auto& error : refused) outcomes.push_back(error ? Outcome{*error} : internal::outcome_from(*answer++));
  return outcomes;
}

}  // namespace

Client::Client(ClientOptions options) : core_(std::make_shared<const Core>(std::move(options))) {}
Client::Client(std::string address) : Client(options_for(std::move(address))) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Sentiment Client::analyze(std::string_view text, const AnalysisOptions& options) const {
  internal::check_text(text);
  v1::AnalyzeSentimentRequest request;
  request.mutable_document()->set_text(std::string{text});
  *request.mutable_config() = internal::analysis_config(options);
  v1::AnalyzeSentimentResponse response;
  core_->call(options, Away::wait, [&](grpc::ClientContext& context) {
    return core_->sentiment().AnalyzeSentiment(&context, request, &response);
  });
  return internal::sentiment_from(response.result());
}

std::vector<Outcome> Client::analyze_batch(const std::vector<std::string>& texts,
                                           const AnalysisOptions& options) const {
  v1::BatchAnalyzeSentimentRequest request;
  *request.mutable_config() = internal::analysis_config(options);
  const auto refused = add_texts(texts, request);
  v1::BatchAnalyzeSentimentResponse response;
  if (request.documents_size() > 0) {
    core_->call(options, Away::wait, [&](grpc::ClientContext& context) {
      return core_->sentiment().BatchAnalyzeSentiment(&context, request, &response);
    });
  }
  return join(response, refused);
}

AnswerStream Client::stream(DocumentSource source, const StreamOptions& options) const {
  return AnswerStream{std::make_unique<internal::Exchange>(core_, std::move(source), options)};
}

AnswerStream Client::stream(std::vector<Document> documents, const StreamOptions& options) const {
  const auto kept = std::make_shared<std::vector<Document>>(std::move(documents));
  const auto source = [kept, next = std::size_t{0}]() mutable -> std::optional<Document> {
    if (next == kept->size()) return std::nullopt;
    return std::move((*kept)[next++]);
  };
  return stream(source, options);
}

std::vector<ModelInfo> Client::list_models(const CallOptions& options) const {
  std::vector<ModelInfo> models;
  v1::ListModelsRequest request;
  do {
    v1::ListModelsResponse response;
    core_->call(options, Away::wait,
                [&](grpc::ClientContext& context) { return core_->models().ListModels(&context, request, &response); });
    for (const auto& each : response.models()) models.push_back(internal::model_from(each));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return models;
}

ModelInfo Client::get_model(const std::string& name, const CallOptions& options) const {
  internal::check_name("a model's name", name);
  v1::GetModelRequest request;
  request.set_name(name);
  v1::GetModelResponse response;
  core_->call(options, Away::wait,
              [&](grpc::ClientContext& context) { return core_->models().GetModel(&context, request, &response); });
  return internal::model_from(response.model());
}

ModelWatch Client::watch_models(std::vector<std::string> names, const WatchOptions& options) const {
  return ModelWatch{std::make_unique<internal::Watching>(core_, std::move(names), options)};
}

ServingStatus Client::health(const std::string& service, const CallOptions& options) const {
  internal::check_name("a service's name", service);
  try {
    return serving_status(core_->check_health(service, options, Away::wait));
  } catch (const Error& error) {
    if (error.code() == StatusCode::not_found) return ServingStatus::service_unknown;
    throw;
  }
}

bool Client::is_ready(const CallOptions& options) const {
  try {
    return serving_status(core_->check_health({}, options, Away::fail)) == ServingStatus::serving;
  } catch (const Error& error) {
    const StatusCode code = error.code();
    if (code == StatusCode::unavailable || code == StatusCode::deadline_exceeded || code == StatusCode::not_found) {
      return false;
    }
    throw;
  }
}

void Client::wait_until_ready(Duration timeout) const {
  const internal::Deadline deadline{timeout};
  Duration pause = kFirstPause;
  while (!deadline.passes_within(Duration{})) {
    CallOptions options;
    options.timeout = std::clamp(*deadline.left(), Duration{1}, kLongestCheck);
    if (is_ready(options)) return;
    std::this_thread::sleep_for(std::min(pause, *deadline.left()));
    pause = std::min(2 * pause, kLongestPause);
  }
  throw Error{StatusCode::deadline_exceeded, "the server was not ready in time", {"NOT_READY"}};
}

const std::string& Client::address() const noexcept { return core_->options().address; }

AnswerStream::AnswerStream(std::unique_ptr<internal::Exchange> exchange) : exchange_(std::move(exchange)) {}
AnswerStream::AnswerStream(AnswerStream&&) noexcept = default;
AnswerStream& AnswerStream::operator=(AnswerStream&&) noexcept = default;
AnswerStream::~AnswerStream() = default;
std::optional<Answer> AnswerStream::next() { return exchange_->next(); }
void AnswerStream::cancel() { exchange_->cancel(); }

ModelWatch::ModelWatch(std::unique_ptr<internal::Watching> watching) : watching_(std::move(watching)) {}
ModelWatch::ModelWatch(ModelWatch&&) noexcept = default;
ModelWatch& ModelWatch::operator=(ModelWatch&&) noexcept = default;
ModelWatch::~ModelWatch() = default;
std::optional<ModelEvent> ModelWatch::next() { return watching_->next(); }
void ModelWatch::cancel() { watching_->cancel(); }

}  // namespace sentinova
