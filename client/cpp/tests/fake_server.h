/// A server of the API for tests: its answers follow from the texts, and tests choose how it fails.
///
/// A text that begins with "bad" is negative, every other is positive.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sentinova/client.h"
#include "sentinova/v1/model_service.grpc.pb.h"
#include "sentinova/v1/sentiment_service.grpc.pb.h"

namespace sentinova::test {

using namespace std::chrono_literals;

constexpr auto kPatience = 30s;  // what takes longer hangs

/// An event that one thread waits for and another one brings about.
class Signal {
 public:
  void set() {
    const std::lock_guard lock{mutex_};
    set_ = true;
    changed_.notify_all();
  }

  /// Gives false where it did not come in time.
  bool wait() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, kPatience, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

/// Details of an error, as the API promises them.
struct Reason {
  std::string reason;
  std::string field = {};
  std::map<std::string, std::string> metadata = {};
  int retry_milliseconds = 0;
};

/// Makes a status with details.
google::rpc::Status rpc_status(grpc::StatusCode code, const std::string& message, const Reason& reason);
grpc::Status failure(grpc::StatusCode code, const std::string& message, const Reason& reason);

/// Makes the result of a text.
v1::SentimentResult result_of(const std::string& text, const v1::AnalysisConfig& config);

/// Waits until the client has given the call up.
grpc::Status hang(grpc::ServerContext& context);

using StreamRequest = v1::StreamAnalyzeSentimentRequest;
using StreamResponse = v1::StreamAnalyzeSentimentResponse;
using DocumentStream = grpc::ServerReaderWriter<StreamResponse, StreamRequest>;
using EventWriter = grpc::ServerWriter<v1::WatchModelsResponse>;

/// Answers one document of a stream.
void answer(DocumentStream& stream, const v1::Document& document);

/// Reads the configuration of a stream, and documents: so many, or all until the client's end.
std::vector<v1::Document> read(DocumentStream& stream, std::size_t count = SIZE_MAX);

/// The server. A function that is set takes the place of the method's answer; it gets the number of the call, from 1.
/// The destructor waits for running calls: what the functions use is to be declared before the server.
class FakeServer final : public v1::SentimentService::Service, public v1::ModelService::Service {
 public:
  FakeServer();
  ~FakeServer() override;

  /// Goes away at once, and comes back on the same port.
  void stop();
  void start();

  const std::string& address() const { return address_; }
  Client client(ClientOptions options = {}) const;
  void set_serving(const std::string& service, bool serving) const;

  std::function<grpc::Status(int, grpc::ServerContext&, const v1::AnalyzeSentimentRequest&)> on_analyze;
  std::function<grpc::Status(v1::BatchAnalyzeSentimentResponse&)> on_batch;
  std::function<grpc::Status(int, grpc::ServerContext&, DocumentStream&)> on_stream;
  std::function<grpc::Status(int, grpc::ServerContext&, const v1::WatchModelsRequest&, EventWriter&)> on_watch;
  std::vector<v1::Model> models;  // listed two a page

  std::atomic<int> calls{0};  // of all methods but those of health
  std::mutex mutex;           // guards what the latest call was
  v1::AnalysisConfig config;
  std::map<std::string, std::string> metadata;
  bool had_deadline = false;
  std::vector<v1::Document> documents;  // of batches

 private:
  int begin(const grpc::ServerContext& context);

  grpc::Status AnalyzeSentiment(grpc::ServerContext* context, const v1::AnalyzeSentimentRequest* request,
                                v1::AnalyzeSentimentResponse* response) override;
  grpc::Status BatchAnalyzeSentiment(grpc::ServerContext* context, const v1::BatchAnalyzeSentimentRequest* request,
                                     v1::BatchAnalyzeSentimentResponse* response) override;
  grpc::Status StreamAnalyzeSentiment(grpc::ServerContext* context, DocumentStream* stream) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override;
  grpc::Status WatchModels(grpc::ServerContext* context, const v1::WatchModelsRequest* request,
                           EventWriter* writer) override;

  std::string address_ = "127.0.0.1:0";
  std::unique_ptr<grpc::Server> server_;
};

/// Calls a function that must throw an `Error`, and gives the error.
template <class Function>
Error error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error;
  }
  return {StatusCode::ok, "nothing was thrown"};
}

}  // namespace sentinova::test
