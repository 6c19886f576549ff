/// The client of a Sentinova server: the one header to include.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sentinova/answer_stream.h"
#include "sentinova/cancellation.h"
#include "sentinova/error.h"
#include "sentinova/model_watch.h"
#include "sentinova/models.h"
#include "sentinova/options.h"
#include "sentinova/results.h"

namespace sentinova {

namespace internal {
class Core;
}

/// A client of a Sentinova server. Safe to share between threads; connects on the first call. Streams and watches may
/// outlive it.
///
/// Every method throws `Error` where its call failed, and `std::invalid_argument` where an argument makes no sense.
///
///     sentinova::Client client{"127.0.0.1:8001"};
///     std::cout << client.analyze("A quiet, lovely film.").label << '\n';
class Client {
 public:
  /// Throws `std::invalid_argument` where an option makes no sense, `std::system_error` where a certificate file cannot
  /// be read.
  explicit Client(ClientOptions options = {});

  /// A client with default options.
  explicit Client(std::string address);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Analyzes one text (UTF-8).
  Sentiment analyze(std::string_view text, const AnalysisOptions& options = {}) const;

  /// Analyzes a list of texts in one call, which one version answers.
  ///
  /// Gives for each text, in order, its sentiment, or the error (not thrown) that says why there is none. The server
  /// limits their number (1,024 unless set otherwise).
  std::vector<Outcome> analyze_batch(const std::vector<std::string>& texts, const AnalysisOptions& options = {}) const;

  /// Analyzes documents as they come, in bounded memory.
  AnswerStream stream(DocumentSource source, const StreamOptions& options = {}) const;

  /// Analyzes documents in a stream.
  AnswerStream stream(std::vector<Document> documents, const StreamOptions& options = {}) const;

  /// Lists the models of the server, ordered by name. The deadline is that of each page of 1,000 models.
  std::vector<ModelInfo> list_models(const CallOptions& options = {}) const;

  /// Gets one model; NOT_FOUND where there is none of that name.
  ModelInfo get_model(const std::string& name, const CallOptions& options = {}) const;

  /// Watches models, whether there are such models yet or not; no names: all.
  ModelWatch watch_models(std::vector<std::string> names = {}, const WatchOptions& options = {}) const;

  /// Asks for the health of the whole server, or of one service or model by name.
  ServingStatus health(const std::string& service = {}, const CallOptions& options = {}) const;

  /// Asks once whether the server takes requests now. One that cannot be reached is not ready.
  bool is_ready(const CallOptions& options = {}) const;

  /// Waits until the server takes requests; DEADLINE_EXCEEDED, reason NOT_READY, where it did not in that time.
  void wait_until_ready(Duration timeout = std::chrono::seconds{60}) const;

  /// Where the server is.
  const std::string& address() const noexcept;

 private:
  std::shared_ptr<const internal::Core> core_;
};

}  // namespace sentinova
