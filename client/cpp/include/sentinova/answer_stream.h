/// The answers of a stream of documents.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "sentinova/next_iterator.h"
#include "sentinova/results.h"

namespace sentinova {

namespace internal {
class Exchange;
}

/// Gives the next document of a stream, or nothing at the end. It is called from one thread of the stream's own, may
/// block, and may go on for ever.
using DocumentSource = std::function<std::optional<Document>()>;

/// The answers of a stream, which come as soon as they are ready, in any order: match them by `index` or `id`.
///
/// The input is read by another thread from the first `next` on, never more than `max_in_flight` documents ahead of the
/// answers taken. Where the connection breaks, or the server goes away, the documents without an answer are sent again
/// (as `ClientOptions::attempts` and `wait_for_ready` allow). `next` is for one thread at a time; `cancel` for any.
///
/// The destructor gives up what is under way. It waits for a call of the source that has not returned yet.
class AnswerStream {
 public:
  using iterator = NextIterator<AnswerStream, Answer>;

  explicit AnswerStream(std::unique_ptr<internal::Exchange> exchange);
  AnswerStream(AnswerStream&&) noexcept;
  AnswerStream& operator=(AnswerStream&&) noexcept;
  ~AnswerStream();

  /// Waits for the next answer, and gives it; nothing: every document has been answered.
  ///
  /// Throws `Error` where the stream as a whole failed: documents not answered until then have no answer. Throws what
  /// the source threw, after the answers for what was read until then.
  std::optional<Answer> next();

  /// Ends the stream: `next` throws CANCELLED.
  void cancel();

  iterator begin() { return iterator{*this}; }
  iterator end() { return iterator{}; }

 private:
  std::unique_ptr<internal::Exchange> exchange_;
};

}  // namespace sentinova
