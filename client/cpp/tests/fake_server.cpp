#include "fake_server.h"

#include <grpcpp/health_check_service_interface.h>

#include <stdexcept>
#include <thread>

#include "google/rpc/error_details.pb.h"

namespace sentinova::test {

google::rpc::Status rpc_status(grpc::StatusCode code, const std::string& message, const Reason& reason) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason.reason);
  info.set_domain("sentinova");
  info.mutable_metadata()->insert(reason.metadata.begin(), reason.metadata.end());
  status.add_details()->PackFrom(info);
  if (!reason.field.empty()) {
    google::rpc::BadRequest bad;
    auto& violation = *bad.add_field_violations();
    violation.set_field(reason.field);
    violation.set_description("is wrong");
    violation.set_reason(reason.reason);
    status.add_details()->PackFrom(bad);
  }
  if (reason.retry_milliseconds > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(reason.retry_milliseconds / 1000);
    retry.mutable_retry_delay()->set_nanos(reason.retry_milliseconds % 1000 * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return status;
}

grpc::Status failure(grpc::StatusCode code, const std::string& message, const Reason& reason) {
  return {code, message, rpc_status(code, message, reason).SerializeAsString()};
}

v1::SentimentResult result_of(const std::string& text, const v1::AnalysisConfig& config) {
  const bool negative = text.rfind("bad", 0) == 0;
  v1::SentimentResult result;
  result.set_label(negative ? "negative" : "positive");
  result.set_score(0.7F);
  for (const auto& [label, score] :
       {std::pair{"negative", negative ? 0.7F : 0.3F}, {"positive", negative ? 0.3F : 0.7F}}) {
    auto& each = *result.add_scores();
    each.set_label(label);
    each.set_score(score);
  }
  result.mutable_model()->set_name(config.model().empty() ? "sentiment_en" : config.model());
  result.mutable_model()->set_version(config.has_version() ? config.version() : 2);
  result.set_token_count(static_cast<int>(text.size()));
  result.set_truncated(config.long_text_policy() == v1::LONG_TEXT_POLICY_TRUNCATE);
  result.mutable_timings()->mutable_tokenization()->set_nanos(1'000'000);
  result.mutable_timings()->mutable_queue()->set_nanos(2'000'000);
  result.mutable_timings()->mutable_inference()->set_seconds(1);
  result.mutable_timings()->mutable_inference()->set_nanos(500'000'000);
  return result;
}

grpc::Status hang(grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
  return grpc::Status::CANCELLED;
}

void answer(DocumentStream& stream, const v1::Document& document) {
  StreamResponse response;
  response.set_id(document.id());
  *response.mutable_result() = result_of(document.text(), {});
  stream.Write(response);
}

std::vector<v1::Document> read(DocumentStream& stream, std::size_t count) {
  std::vector<v1::Document> documents;
  StreamRequest request;
  while (documents.size() < count && stream.Read(&request)) {
    if (request.has_document()) documents.push_back(request.document());
  }
  return documents;
}

FakeServer::FakeServer() {
  static const bool with_health = [] {
    grpc::EnableDefaultHealthCheckService(true);
    return true;
  }();
  static_cast<void>(with_health);
  start();
}

FakeServer::~FakeServer() { stop(); }

void FakeServer::start() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<v1::SentimentService::Service*>(this));
  builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
  server_ = builder.BuildAndStart();
  if (!server_ || port == 0) throw std::runtime_error("the test's server cannot listen on " + address_);
  address_ = "127.0.0.1:" + std::to_string(port);
}

void FakeServer::stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

Client FakeServer::client(ClientOptions options) const {
  options.address = address_;
  return Client{std::move(options)};
}

void FakeServer::set_serving(const std::string& service, bool serving) const {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

int FakeServer::begin(const grpc::ServerContext& context) {
  const std::lock_guard lock{mutex};
  metadata.clear();
  for (const auto& [key, value] : context.client_metadata()) {
    metadata.emplace(std::string{key.data(), key.size()}, std::string{value.data(), value.size()});
  }
  had_deadline = context.deadline() < std::chrono::system_clock::now() + std::chrono::hours{1};
  return ++calls;
}

grpc::Status FakeServer::AnalyzeSentiment(grpc::ServerContext* context, const v1::AnalyzeSentimentRequest* request,
                                          v1::AnalyzeSentimentResponse* response) {
  const int number = begin(*context);
  {
    const std::lock_guard lock{mutex};
    config = request->config();
  }
  if (on_analyze) {
    const grpc::Status status = on_analyze(number, *context, *request);
    if (!status.ok()) return status;
  }
  *response->mutable_result() = result_of(request->document().text(), request->config());
  return grpc::Status::OK;
}

grpc::Status FakeServer::BatchAnalyzeSentiment(grpc::ServerContext* context,
                                               const v1::BatchAnalyzeSentimentRequest* request,
                                               v1::BatchAnalyzeSentimentResponse* response) {
  begin(*context);
  const std::lock_guard lock{mutex};
  config = request->config();
  documents = {request->documents().begin(), request->documents().end()};
  for (const auto& document : documents) {
    auto& each = *response->add_results();
    each.set_id(document.id());
    *each.mutable_result() = result_of(document.text(), config);
  }
  return on_batch ? on_batch(*response) : grpc::Status::OK;
}

grpc::Status FakeServer::StreamAnalyzeSentiment(grpc::ServerContext* context, DocumentStream* stream) {
  const int number = begin(*context);
  if (on_stream) return on_stream(number, *context, *stream);
  StreamRequest request;
  while (stream->Read(&request)) {
    const std::lock_guard lock{mutex};
    if (request.has_config()) config = request.config();
    if (request.has_document()) answer(*stream, request.document());
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                                    v1::ListModelsResponse* response) {
  begin(*context);
  const std::size_t first = request->page_token().empty() ? 0 : std::stoul(request->page_token());
  for (std::size_t at = first; at < models.size() && at < first + 2; ++at) *response->add_models() = models[at];
  if (first + 2 < models.size()) response->set_next_page_token(std::to_string(first + 2));
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                                  v1::GetModelResponse* response) {
  begin(*context);
  for (const auto& model : models) {
    if (model.name() != request->name()) continue;
    *response->mutable_model() = model;
    return grpc::Status::OK;
  }
  return failure(grpc::StatusCode::NOT_FOUND, "there is no such model", {"MODEL_NOT_FOUND", "name"});
}

grpc::Status FakeServer::WatchModels(grpc::ServerContext* context, const v1::WatchModelsRequest* request,
                                     EventWriter* writer) {
  return on_watch(begin(*context), *context, *request, *writer);
}

}  // namespace sentinova::test
